//! `palomar watch peers`: the peers of a server, as they come and go.

use anyhow::Result;
use palomar_proto::peer::peer_client::PeerClient;
use palomar_proto::peer::{ChangeNotification, ChangeNotificationType, NotifyRequest};
use tonic::Code;

use crate::connection::Connection;
use crate::observe::until_interrupted;
use crate::render::enum_name;
use crate::render::escape::escape;
use crate::rpc;
use crate::surroundings::Surroundings;

/// Prints each change as it comes, until the server ends or the user interrupts.
pub async fn peers(connection: &Connection, surroundings: &mut Surroundings<'_>) -> Result<()> {
    until_interrupted(receive(connection, surroundings)).await
}

async fn receive(connection: &Connection, surroundings: &mut Surroundings<'_>) -> Result<()> {
    let mut client = PeerClient::new(connection.connect().await?);
    let answer = client.notify(NotifyRequest {}).await.map_err(|status| rpc::coded_failure(&status))?;
    connection.warn_of_newer(answer.metadata(), surroundings.err)?;
    let mut stream = answer.into_inner();
    loop {
        match stream.message().await {
            Ok(Some(change)) => {
                writeln!(surroundings.out, "{}", line(&change))?;
                surroundings.out.flush()?;
            }
            Ok(None) => return Ok(()),
            Err(status) if status.code() == Code::Cancelled => return Ok(()),
            Err(status) => return Err(rpc::coded_failure(&status)),
        }
    }
}

fn line(change: &ChangeNotification) -> String {
    let kind = enum_name(change.r#type, ChangeNotificationType::as_str_name);
    let tls = change.tls.as_ref();
    let tls = tls.map_or_else(String::new, |tls| format!(" (TLS.ServerName: {})", escape(&tls.server_name)));
    format!("{kind:<12} {} {}{tls}", escape(&change.address), escape(&change.name))
}
