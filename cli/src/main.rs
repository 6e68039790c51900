//! Hands the process's arguments, streams and environment to the library.

use std::ffi::OsString;
use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;

use palomar_cli::{Surroundings, run};

fn main() -> ExitCode {
    let words: Result<Vec<String>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let words = match words {
        Ok(words) => words,
        Err(word) => {
            eprintln!("argument {} is not UTF-8", word.display());
            return ExitCode::FAILURE;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut surroundings = Surroundings {
        input: &mut BufReader::new(io::stdin()),
        // every command buffers for itself
        out: &mut io::stdout(),
        err: &mut io::stderr(),
        out_is_terminal: io::stdout().is_terminal(),
        directory: std::env::current_dir().unwrap_or_default(),
        now: chrono::Utc::now(),
        variables: &|name| std::env::var(name).ok(),
    };
    ExitCode::from(runtime.block_on(run(&words, &mut surroundings)))
}
