//! How flows are printed.

use anyhow::{Result, bail};

use crate::arguments::Given;
use crate::render::{Colour, Format, Naming, NodeStates, Options, PolicyNames};
use crate::surroundings::Surroundings;
use crate::time::TimeFormat;

/// From the flags, the terminal and the environment.
pub fn options(given: &Given, surroundings: &Surroundings<'_>) -> Result<Options> {
    let format = format(given, surroundings)?;
    let numeric =
        given.switch("numeric")?.unwrap_or(false) || !given.switch("ip-translation")?.unwrap_or(true);
    let silent = given.switch("silent-errors")?.unwrap_or(false);
    let debug = given.switch("debug")?.unwrap_or(false);
    Ok(Options {
        format,
        time: given.text("time-format").map(TimeFormat::named).unwrap_or_default(),
        naming: if numeric { Naming::Numeric } else { Naming::Names },
        policy_names: if given.switch("print-policy-names")?.unwrap_or(false) {
            PolicyNames::Show
        } else {
            PolicyNames::Hide
        },
        print_node_name: given.switch("print-node-name")?.unwrap_or(false),
        colour: colour(given.text("color").unwrap_or("auto"), surroundings),
        node_states: match (silent, debug) {
            (true, _) => NodeStates::Silent,
            (false, true) => NodeStates::All,
            (false, false) => NodeStates::Trouble,
        },
    })
}

fn format(given: &Given, surroundings: &Surroundings<'_>) -> Result<Format> {
    let name = given.text("output").unwrap_or("compact");
    let format = match name {
        "compact" => Format::Compact,
        "dict" => Format::Dict,
        "tab" | "table" => Format::Table,
        "json" if legacy_json(surroundings) => Format::LegacyJson,
        "json" | "jsonpb" | "JSON" => Format::Json,
        _ => bail!("invalid output format: {name}"),
    };
    if format == Format::Table && given.switch("follow")?.unwrap_or(false) {
        bail!("table output format is not compatible with follow mode");
    }
    if format != Format::Json && given.text("field-mask").is_some() {
        bail!("{name} output format is not compatible with custom field mask");
    }
    Ok(format)
}

fn legacy_json(surroundings: &Surroundings<'_>) -> bool {
    let options = surroundings.variable("HUBBLE_COMPAT").unwrap_or_default();
    options.split(',').any(|option| option == "legacy-json-output")
}

fn colour(when: &str, surroundings: &Surroundings<'_>) -> Colour {
    let refused = surroundings.variable("NO_COLOR").is_some_and(|value| !value.is_empty())
        || surroundings.variable("TERM").is_some_and(|terminal| terminal == "dumb");
    match when {
        "always" => Colour::On,
        "never" => Colour::Off,
        _ if surroundings.out_is_terminal && !refused => Colour::On,
        _ => Colour::Off,
    }
}
