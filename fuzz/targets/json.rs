//! The reader of JSON: it judges every text, what it reads it can write, and the quick look agrees with it.

use palomar_flow::json::{Picker, parse, to_string};
use palomar_proto::observer::GetFlowsResponse;

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = parse::<GetFlowsResponse>(&text);
    if let Ok(parsed) = &parsed {
        let written = to_string(&parsed.message).expect("what was read has a JSON form");
        let again = parse::<GetFlowsResponse>(&written).expect("what was written is read").message;
        // a NaN is not itself
        assert_eq!(to_string(&again).as_ref(), Ok(&written));
    }
    if Picker::new::<GetFlowsResponse>(&["flow", "time"], &["flow.source"]).pick(data).is_some() {
        let parsed = parsed.expect("what a look lets pass is JSON");
        assert_eq!(parsed.unknown, None);
        assert_eq!(to_string(&parsed.message).as_deref(), Ok(&*text));
    }
}
