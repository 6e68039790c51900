//! A user name and a password with each call.

use std::fmt;

use anyhow::{Result, bail};
use palomar_flow::json::base64;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::arguments::Given;

/// Adds the `authorization` header, if there is one to add.
#[derive(Clone, Default)]
pub struct Credentials(Option<MetadataValue<Ascii>>);

impl Credentials {
    /// From the flags. Name and password need each other, and TLS.
    pub fn from_flags(given: &Given, with_tls: bool) -> Result<Self> {
        let text = |flag| given.text(flag).filter(|text| !text.is_empty());
        let (name, password) = match (text("basic-auth-username"), text("basic-auth-password")) {
            (Some(name), Some(password)) => (name, password),
            (None, None) => return Ok(Self::default()),
            _ => bail!("must specify both basic-auth-username and basic-auth-password"),
        };
        if !with_tls {
            bail!("transport layer security required");
        }
        let header = format!("Basic {}", base64(format!("{name}:{password}").as_bytes()));
        let mut value = MetadataValue::try_from(header)?;
        // kept out of the HTTP/2 header table
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Credentials {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Credentials(…)" } else { "Credentials(none)" })
    }
}
