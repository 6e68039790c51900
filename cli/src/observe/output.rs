//! How flows are printed.

use anyhow::{Result, bail};

use crate::arguments::Given;
use crate::render::{Colour, Format, Naming, NodeStates, Options, PolicyNames};
use crate::surroundings::Surroundings;
use crate::time::TimeFormat;

/// From the flags, the terminal and the environment.
pub fn options(given: &Given, surroundings: &Surroundings<'_>) -> Result<Options> {
    let format = format(given, surroundings)?;
    let numeric = given.switch("numeric")? || !given.toggle("ip-translation")?;
    let policy_names = given.switch("print-policy-names")?;
    Ok(Options {
        format,
        time: given.text("time-format").map(TimeFormat::named).unwrap_or_default(),
        naming: if numeric { Naming::Numeric } else { Naming::Names },
        policy_names: if policy_names { PolicyNames::Show } else { PolicyNames::Hide },
        print_node_name: given.switch("print-node-name")?,
        colour: colour(given.text("color").unwrap_or("auto"), surroundings),
        node_states: match (given.switch("silent-errors")?, given.switch("debug")?) {
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
        "json" | "JSON" if legacy_json(surroundings) => Format::LegacyJson,
        "json" | "jsonpb" | "JSON" => Format::Json,
        _ => bail!("invalid output format: {name}"),
    };
    if format == Format::Table && given.switch("follow")? {
        bail!("table output format is not compatible with follow mode");
    }
    if format != Format::Json && !given.list("field-mask").is_empty() {
        bail!("{name} output format is not compatible with custom field mask");
    }
    Ok(format)
}

/// Whether old scripts are to be served: the variable has options between commas, in any case.
fn legacy_json(surroundings: &Surroundings<'_>) -> bool {
    let options =
        ["PALOMAR_COMPAT", "HUBBLE_COMPAT"].into_iter().find_map(|name| surroundings.variable(name));
    options.is_some_and(|options| {
        options.split(',').any(|option| option.eq_ignore_ascii_case("legacy-json-output"))
    })
}

fn colour(when: &str, surroundings: &Surroundings<'_>) -> Colour {
    let refused = surroundings.variable("NO_COLOR").is_some_and(|value| !value.is_empty())
        || surroundings.variable("TERM").is_some_and(|terminal| terminal == "dumb");
    match &*when.to_ascii_lowercase() {
        "always" => Colour::On,
        "never" => Colour::Off,
        _ if surroundings.out_is_terminal && !refused => Colour::On,
        _ => Colour::Off,
    }
}
