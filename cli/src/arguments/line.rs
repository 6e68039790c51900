//! Splits a command line as Hubble's CLI does, so that the same lines work and the same words say what is wrong.
//!
//! First the commands are found: words that are neither flags nor values of flags. Then the flags are read one after
//! the other with the flags of the command that was found, whichever side of it they stand on.

use super::commands::{Command, Words};
use super::declare::Declared;
use super::{Given, Origin, UsageError, suggest, value};

/// A command line in its parts.
#[derive(Debug)]
pub struct Parsed {
    /// The command.
    pub command: &'static Command,
    /// Its names from the outermost, without that of the program; empty if none was named.
    pub path: Vec<&'static str>,
    /// Flags in their order.
    pub given: Given,
    /// Other words.
    pub words: Vec<String>,
    /// What is wrong behind the flags that were read. A filter flag before it may be wrong as well, and is then told
    /// first.
    pub wrong: Option<UsageError>,
}

/// Splits a line, without the name of the program. An error: there is no such command.
pub fn parse(root: &'static Command, words: &[String]) -> Result<Parsed, UsageError> {
    let (path, rest) = find(root, words)?;
    let command = path.last().copied().unwrap_or(root);
    let mut reader = Reader { root, command, given: Given::default(), words: Vec::new() };
    let wrong = reader.read(&rest).err();
    let Reader { given, words, .. } = reader;
    let path = path.iter().skip(1).map(|command| command.name).collect();
    Ok(Parsed { command, path, given, words, wrong })
}

/// The commands that words lead to, and the line without them.
fn find(
    root: &'static Command,
    words: &[String],
) -> Result<(Vec<&'static Command>, Vec<String>), UsageError> {
    let (mut path, mut rest) = (vec![root], words.to_vec());
    loop {
        let command = path.last().copied().unwrap_or(root);
        let Some(at) = first_word(root, command, &rest) else { break };
        match command.find(&rest[at]) {
            Some(inner) => path.push(inner),
            None if path.len() == 1 || is_group_of_ours(command) => return Err(unknown(&path, &rest[at])),
            None => break,
        }
        rest.remove(at);
    }
    Ok((path, rest))
}

/// Hubble overlooks a word after a command that only groups others; after ours it is a mistake to tell.
fn is_group_of_ours(command: &Command) -> bool {
    command.words == Words::None && !command.commands.is_empty()
}

fn unknown(path: &[&Command], word: &str) -> UsageError {
    let names: Vec<&str> = path.iter().map(|command| command.name).collect();
    let suggestions = path.last().map_or_else(String::new, |group| suggest::suggestions(group, word));
    UsageError::UnknownCommand { command: word.to_owned(), parent: names.join(" "), suggestions }
}

/// Where the first word stands that is no flag and no value of one. A flag that is not known is taken to have a value.
fn first_word(root: &Command, command: &Command, words: &[String]) -> Option<usize> {
    let mut at = 0;
    while at < words.len() {
        let word = words[at].as_str();
        if word == "--" {
            return None;
        }
        if !word.starts_with('-') && !word.is_empty() {
            return Some(at);
        }
        let takes_next = match word.strip_prefix("--") {
            _ if word.contains('=') => false,
            Some(long) => root.long(command, long).is_none_or(|flag| flag.alone().is_none()),
            None if word.len() == 2 => {
                let short = word.chars().nth(1);
                short.and_then(|short| root.short(command, short)).is_none_or(|flag| flag.alone().is_none())
            }
            None => false,
        };
        at += if takes_next { 2 } else { 1 };
    }
    None
}

struct Reader {
    root: &'static Command,
    command: &'static Command,
    given: Given,
    words: Vec<String>,
}

impl Reader {
    fn read(&mut self, line: &[String]) -> Result<(), UsageError> {
        let mut rest = line;
        while let Some((word, after)) = rest.split_first() {
            rest = match word.strip_prefix('-') {
                Some("-") => {
                    self.words.extend(after.iter().cloned());
                    break;
                }
                None | Some("") => {
                    self.words.push(word.clone());
                    after
                }
                Some(group) if !group.starts_with('-') => self.short(group, after)?,
                Some(long) => self.long(word, &long[1..], after)?,
            };
        }
        self.check_words()
    }

    fn long<'a>(&mut self, word: &str, name: &str, after: &'a [String]) -> Result<&'a [String], UsageError> {
        if name.starts_with(['-', '=']) {
            return Err(UsageError::Syntax(word.to_owned()));
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (name, None),
        };
        let flag = self.root.long(self.command, name);
        let unknown = || UsageError::UnknownFlag {
            flag: name.to_owned(),
            suggestions: match self.command.words {
                // its errors are worded as Hubble's
                Words::Ignored | Words::Some(..) => String::new(),
                Words::None | Words::One(..) => suggest::flags(self.root, self.command, name),
            },
        };
        let flag = flag.ok_or_else(unknown)?;
        let missing = || UsageError::MissingValue(name.to_owned());
        let (value, rest) = take(value.or(flag.alone()), after).ok_or_else(missing)?;
        self.set(flag, value)?;
        Ok(&after[after.len() - rest..])
    }

    /// Flags behind one dash: switches, and at the end one that may have a value.
    fn short<'a>(&mut self, group: &str, after: &'a [String]) -> Result<&'a [String], UsageError> {
        let mut rest = group;
        while let Some(short) = rest.chars().next() {
            let behind = &rest[short.len_utf8()..];
            let unknown = || UsageError::UnknownShorthand { short, group: rest.to_owned() };
            let flag = self.root.short(self.command, short).ok_or_else(unknown)?;
            let assigned = behind.strip_prefix('=').filter(|value| !value.is_empty());
            if let Some(value) = assigned {
                self.set(flag, value)?;
                return Ok(after);
            }
            if let Some(alone) = flag.alone() {
                self.set(flag, alone)?;
                rest = behind;
                continue;
            }
            let missing = || UsageError::MissingShortValue { short, group: rest.to_owned() };
            let own = Some(behind).filter(|behind| !behind.is_empty());
            let (value, left) = take(own, after).ok_or_else(missing)?;
            self.set(flag, value)?;
            return Ok(&after[after.len() - left..]);
        }
        Ok(after)
    }

    fn set(&mut self, flag: &'static Declared, given: &str) -> Result<(), UsageError> {
        let checked = value::check(flag.kind, given);
        checked.map_err(|reason| UsageError::Value {
            value: given.to_owned(),
            flag: flag.shown(),
            reason,
        })?;
        self.given.push(flag, given, Origin::Line);
        Ok(())
    }

    fn check_words(&self) -> Result<(), UsageError> {
        let most = match self.command.words {
            Words::None => 0,
            Words::One(..) => 1,
            Words::Ignored | Words::Some(..) => return Ok(()),
        };
        self.words.get(most).map_or(Ok(()), |word| Err(UsageError::UnexpectedArgument(word.clone())))
    }
}

/// The value that a flag has already, else the next word; and how many words are left then.
fn take<'a>(own: Option<&'a str>, after: &'a [String]) -> Option<(&'a str, usize)> {
    match own {
        Some(value) => Some((value, after.len())),
        None => after.split_first().map(|(value, rest)| (value.as_str(), rest.len())),
    }
}
