//! The reader of JSON: it judges every text, what it reads it can write, and the quick look agrees with it.

use palomar_flow::json::{Picker, parse, to_string};
use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let parsed = parse::<GetFlowsResponse>(&text);
    if let Ok(parsed) = &parsed {
        let written = to_string(&parsed.message).expect("what was read has a JSON form");
        let again = parse::<GetFlowsResponse>(&written).expect("what was written is read").message;
        // a NaN is not itself
        assert_eq!(to_string(&again).as_ref(), Ok(&written));
    }
    // each line by the same picker, which compares it with the shapes of those before
    let mut picker =
        Picker::new::<GetFlowsResponse>(&["flow", "flow.source.pod_name", "time"], &["flow.source"]);
    let known = include_bytes!("../flow.json").trim_ascii();
    for line in [known].into_iter().chain(data.split(|byte| *byte == b'\n')) {
        let Some(seen) = picker.pick(line) else { continue };
        let pod = seen.text(1).into_owned();
        let text = std::str::from_utf8(line).expect("what a look lets pass is ASCII");
        let parsed = parse::<GetFlowsResponse>(text).expect("what a look lets pass is JSON");
        assert_eq!(parsed.unknown, None);
        assert_eq!(to_string(&parsed.message).as_deref(), Ok(text));
        let source = match &parsed.message.response_types {
            Some(ResponseTypes::Flow(flow)) => flow.source.as_ref(),
            _ => None,
        };
        assert_eq!(pod, source.map_or("", |source| &source.pod_name));
    }
}
