//! The texts of many files, parsed by as many threads as there are processors.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use palomar_manifest::Manifest;

use super::folder::Reading;

/// Fewer texts than this a thread are not worth one.
const FEW: usize = 64;

/// What each text holds, in the same order; `None` for a file that gave none.
pub(super) fn parse_all(readings: &[(String, Reading)]) -> Vec<Option<Manifest>> {
    let texts = readings.iter().filter(|(_, reading)| matches!(reading, Reading::Text(_))).count();
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    let threads = processors.min(texts / FEW);
    if threads < 2 {
        return parse_part(readings);
    }
    thread::scope(|scope| {
        let parts = readings.chunks(readings.len().div_ceil(threads));
        let begun: Vec<_> = parts
            .map(|part| (part, thread::Builder::new().spawn_scoped(scope, || parse_part(part))))
            .collect();
        let done = begun.into_iter().map(|(part, thread)| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
            // no thread is to be had, which is no reason not to read
            Err(_) => parse_part(part),
        });
        done.flatten().collect()
    })
}

fn parse_part(part: &[(String, Reading)]) -> Vec<Option<Manifest>> {
    part.iter().map(parse).collect()
}

fn parse((name, reading): &(String, Reading)) -> Option<Manifest> {
    match reading {
        Reading::Text(text) => Some(palomar_manifest::parse(name, text)),
        Reading::Unchanged | Reading::Unreadable(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_files_are_parsed_in_their_order_as_each_is_by_itself() {
        let reading = |number: usize| match number % 5 {
            0 => Reading::Unchanged,
            1 => Reading::Unreadable("no".into()),
            2 => Reading::Text("kind: Pdo".into()),
            _ => Reading::Text(format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: ns{number}}}\n")),
        };
        for count in [0, 1, FEW, FEW * 9 + 1] {
            let readings: Vec<_> =
                (0..count).map(|number| (format!("{number}.yaml"), reading(number))).collect();
            let alone: Vec<_> = readings.iter().map(parse).collect();
            assert_eq!(parse_all(&readings), alone, "{count} files");
        }
    }
}
