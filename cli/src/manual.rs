//! `palomar completion` and `palomar man`: what shells and readers of manuals are given.

use anyhow::{Result, bail};
use clap_complete::{Shell, generate};

use crate::arguments::commands::ROOT;
use crate::arguments::{Parsed, UsageError, offered, tree};
use crate::surroundings::Surroundings;

const SHELLS: [(&str, Shell); 5] = [
    ("bash", Shell::Bash),
    ("zsh", Shell::Zsh),
    ("fish", Shell::Fish),
    ("powershell", Shell::PowerShell),
    ("elvish", Shell::Elvish),
];

/// Prints a script that completes commands, flags and their values.
pub fn completion(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let names = || SHELLS.map(|(name, _)| name).join(", ");
    let Some(word) = parsed.words.first() else {
        bail!("missing argument: a shell; choose from: {}", names());
    };
    let Some((_, shell)) = SHELLS.iter().find(|(name, _)| name == word) else {
        bail!("unknown shell: {word}; choose from: {}", names());
    };
    let mut script = Vec::new();
    generate(*shell, &mut offered(), ROOT.name, &mut script);
    Ok(surroundings.out.write_all(&script)?)
}

/// Prints the page of the program, or of a command, in the language of `man`.
pub fn man(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let mut root = tree();
    root.build();
    let mut command = &root;
    for word in &parsed.words {
        command = command.find_subcommand(word).ok_or_else(|| UsageError::UnknownCommand {
            command: word.clone(),
            parent: command.get_bin_name().unwrap_or(ROOT.name).to_owned(),
            suggestions: String::new(),
        })?;
    }
    let name = command.get_bin_name().unwrap_or(ROOT.name).replace(' ', "-");
    let mut page = Vec::new();
    let source = concat!("palomar ", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).section("1");
    man.source(source).manual("Palomar").render(&mut page)?;
    Ok(surroundings.out.write_all(&page)?)
}
