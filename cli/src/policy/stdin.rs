//! Stdin, which can be read by one only.

use anyhow::{Result, bail};

use super::manifests::STDIN;
use crate::arguments::Given;

/// That no more than one of these flags and the word behind the command is `-`.
pub fn taken_once(given: &Given, flags: &[&str], word: Option<&str>) -> Result<()> {
    let of_flags = flags.iter().flat_map(|flag| {
        let taken = given.list(flag).into_iter().filter(|value| value == STDIN);
        taken.map(move |_| format!("--{flag} {STDIN}"))
    });
    let of_word = word.filter(|word| *word == STDIN).map(str::to_owned);
    let takers: Vec<String> = of_flags.chain(of_word).collect();
    if let [first, second, ..] = takers.as_slice() {
        if first == second {
            bail!("{first} can be given once only");
        }
        bail!("{first} and {second} cannot be given together: stdin can be read once");
    }
    Ok(())
}
