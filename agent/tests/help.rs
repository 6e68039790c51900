//! The help text is what a person meets first: it changes only on purpose. To accept a change, run this test with
//! `PALOMAR_BLESS=1`.

use std::fs;
use std::path::Path;

use clap::CommandFactory;
use palomar_agent::config::Cli;

#[test]
fn the_help_text_is_the_golden_one() {
    let help = Cli::command().term_width(100).render_long_help().to_string();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/help.txt");
    if std::env::var_os("PALOMAR_BLESS").is_some() {
        fs::write(&path, &help).unwrap();
    }
    assert_eq!(help, fs::read_to_string(&path).unwrap());
}
