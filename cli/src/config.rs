//! `palomar config`: the settings, and the file that has them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::arguments::{Declared, Kind, Parsed, SETTINGS, value as text_value};
use crate::settings::{Settings, default, store, typed, value::name, yaml};
use crate::surroundings::Surroundings;

/// Prints every setting in force, and what else the config files have.
pub fn view(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let settings = Settings::load(&parsed.given, surroundings)?;
    let mut all = BTreeMap::new();
    for file in settings.files.iter().rev() {
        all.extend(file.values.clone());
    }
    for flag in &SETTINGS {
        let effective = settings.effective(flag, &parsed.given, surroundings);
        all.insert(flag.long.to_owned(), effective.value);
    }
    Ok(surroundings.out.write_all(yaml::document(&all).as_bytes())?)
}

/// Prints one setting in force; all, if none is named.
pub fn get(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let key = match parsed.words.as_slice() {
        [] => return view(parsed, surroundings),
        [key] => key,
        words => bail!("invalid arguments: get requires exactly 0 or 1 argument: got '{}'", words.join(" ")),
    };
    let flag = find(key)?;
    let settings = Settings::load(&parsed.given, surroundings)?;
    let effective = settings.effective(flag, &parsed.given, surroundings);
    let value = match effective.value {
        Value::String(text) => typed(flag.kind, &text),
        value => value,
    };
    Ok(surroundings.out.write_all(yaml::value(&value).as_bytes())?)
}

/// Writes one setting to the config file; without a value, as [`reset`].
pub fn set(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let (key, text) = match parsed.words.as_slice() {
        [key] => (key, ""),
        [key, text] => (key, text.as_str()),
        words => {
            bail!("invalid arguments: set requires exactly 1 or 2 argument(s): got '{}'", words.join(" "))
        }
    };
    let flag = find(key)?;
    if text.is_empty() {
        return forget(&[flag], parsed, surroundings);
    }
    if let Err(reason) = text_value::check(flag.kind, text) {
        bail!("cannot assign value={text} for key={key}, expected type={}: {reason}", name(flag.kind));
    }
    let path = path(parsed, surroundings)?;
    store(&path, |values| {
        values.insert(key.clone(), typed(flag.kind, text));
    })
}

/// Gives one setting its default again; all, if none is named.
pub fn reset(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let flags = match parsed.words.as_slice() {
        [] => SETTINGS.iter().collect(),
        [key] => vec![find(key)?],
        words => {
            bail!("invalid arguments: reset requires exactly 0 or 1 argument: got '{}'", words.join(" "))
        }
    };
    forget(&flags, parsed, surroundings)
}

/// Takes settings out of the file. Where another file has one, the default is written over it.
fn forget(flags: &[&'static Declared], parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let path = path(parsed, surroundings)?;
    let settings = Settings::load(&parsed.given, surroundings)?;
    let elsewhere =
        |key: &str| settings.files.iter().any(|file| file.path() != path && file.values.contains_key(key));
    if !path.exists() && !flags.iter().any(|flag| elsewhere(flag.long)) {
        return Ok(());
    }
    store(&path, |values| {
        for flag in flags {
            values.remove(flag.long);
            if elsewhere(flag.long) && flag.long != "config" {
                values.insert(flag.long.to_owned(), typed_default(flag));
            }
        }
    })
}

fn typed_default(flag: &Declared) -> Value {
    match (flag.kind, default(flag.long)) {
        (Kind::List, _) => Value::Array(Vec::new()),
        (kind, text) => typed(kind, &text),
    }
}

fn path(parsed: &Parsed, surroundings: &mut Surroundings<'_>) -> Result<PathBuf> {
    match Settings::load(&parsed.given, surroundings)?.path {
        Some(path) => Ok(path),
        None => {
            bail!("config file undefined: neither HOME nor XDG_CONFIG_HOME is set; name a file with --config")
        }
    }
}

fn find(key: &str) -> Result<&'static Declared> {
    match SETTINGS.iter().find(|flag| flag.long == key) {
        Some(flag) => Ok(flag),
        None => bail!("unknown key: {key}"),
    }
}
