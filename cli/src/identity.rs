//! `palomar identity`: the labels behind the numbers.

use anyhow::{Result, bail};
use palomar_proto::palomar::v1::palomar_client::PalomarClient;
use palomar_proto::palomar::v1::{GetIdentityRequest, Identity, ListIdentitiesRequest};
use serde_json::{Value, json};
use tonic::Code;

use crate::arguments::{Parsed, UsageError};
use crate::connection::Connection;
use crate::observe::parse_identity;
use crate::palomar_api::{Output, failure, output, print_json};
use crate::render::escape::escape;
use crate::render::{Columns, identity_name};
use crate::surroundings::Surroundings;

/// `identity get`: the number, then its labels, one a line.
pub async fn get(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let output = output(&parsed.given)?;
    let Some(word) = parsed.words.first() else {
        bail!(UsageError::MissingArgument("an identity, as a number or a reserved name"));
    };
    let number = match word.as_str() {
        "unknown" => 0,
        word => parse_identity(word).map_err(|reason| anyhow::anyhow!("{word:?}: {reason}"))?,
    };
    let mut client = PalomarClient::new(connection.connect().await?);
    let request = GetIdentityRequest { identity: number };
    let answer =
        match connection.call(surroundings.err, request, |request| client.get_identity(request)).await {
            Ok(answer) => answer,
            Err(status) if status.code() == Code::NotFound => {
                bail!("no identity {number} is known to the agent at {}", connection.target)
            }
            Err(status) => return Err(failure(connection, &status)),
        };
    let Some(identity) = answer.identity else {
        bail!("the answer of {} holds no identity", connection.target);
    };
    match output {
        Output::Json => print_json(&to_json(&identity), surroundings),
        Output::Table => {
            writeln!(surroundings.out, "{}", identity.identity)?;
            identity
                .labels
                .iter()
                .try_for_each(|label| writeln!(surroundings.out, "{}", escape(label)))
                .map_err(Into::into)
        }
    }
}

/// `identity list`: one a line.
pub async fn list(
    parsed: &Parsed,
    connection: &Connection,
    surroundings: &mut Surroundings<'_>,
) -> Result<()> {
    let output = output(&parsed.given)?;
    let mut client = PalomarClient::new(connection.connect().await?);
    let answer = connection
        .call(surroundings.err, ListIdentitiesRequest {}, |request| client.list_identities(request))
        .await;
    let identities = answer.map_err(|status| failure(connection, &status))?.identities;
    if output == Output::Json {
        return print_json(&Value::Array(identities.iter().map(to_json).collect()), surroundings);
    }
    let mut columns = Columns::default();
    columns.line(&["IDENTITY", "NAME", "PODS", "LABELS"]);
    for identity in &identities {
        let name = if identity.reserved { identity_name(identity.identity) } else { "-".to_owned() };
        let labels: Vec<_> = identity.labels.iter().map(|label| escape(label)).collect();
        columns.line(&[&identity.identity.to_string(), &name, &identity.pods.to_string(), &labels.join(",")]);
    }
    Ok(columns.write(surroundings.out)?)
}

fn to_json(identity: &Identity) -> Value {
    let Identity { identity, labels, reserved, pods } = identity;
    json!({ "identity": identity, "labels": labels, "reserved": reserved, "pods": pods })
}
