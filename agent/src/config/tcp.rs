//! Flags about the TCP listener, and what they mean together.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use palomar_transport::TlsFiles;

use super::metrics::{InvalidListenAddress, ListenAddress};

/// Whether the API is served over TCP, and how.
#[derive(Debug, Clone, Args)]
pub struct TcpArgs {
    /// TCP address to serve the API on as well, :4244 for every address of the node: off unless given. It speaks TLS 1.3
    /// unless --disable-tls is given
    #[arg(long, value_name = "[ADDRESS]:PORT", value_parser = socket_address)]
    pub listen: Option<SocketAddr>,

    /// Certificate that --listen shows, with those that lead to its authority, in PEM; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,

    /// Private key of that certificate, in PEM; read again when it changes
    #[arg(long, value_name = "FILE")]
    pub tls_key_file: Option<PathBuf>,

    /// Authorities of clients, in PEM (comma separated): with them, only who shows a certificate of one of them is
    /// served; without, everybody is who reaches the address
    #[arg(long, value_name = "FILE", value_delimiter = ',')]
    pub tls_client_ca_files: Vec<PathBuf>,

    /// Serve --listen in clear text: whoever reaches the address, or the way to it, reads all flows
    #[arg(long, alias = "disable-server-tls")]
    pub disable_tls: bool,
}

/// What is served over TCP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tcp {
    /// Nothing.
    Off,
    /// The API as it is.
    ClearText(SocketAddr),
    /// The API inside TLS.
    Tls(SocketAddr, TlsFiles),
}

/// Flags that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTcp {
    /// An address, and neither certificate nor the wish for clear text.
    #[error(
        "--listen {0} speaks TLS: name its certificate with --tls-cert-file and --tls-key-file, or choose clear text \
         with --disable-tls"
    )]
    NoCertificate(SocketAddr),
    /// Half a pair.
    #[error("--tls-cert-file and --tls-key-file are both required, but only {0} was given")]
    HalfPair(&'static str),
    /// Authorities for clients of a listener without a certificate.
    #[error("--tls-client-ca-files needs --tls-cert-file and --tls-key-file")]
    OnlyAuthorities,
    /// Clear text and a file for TLS.
    #[error("--disable-tls and {0} contradict; leave one of them out")]
    Contradiction(&'static str),
    /// A file for TLS, and nothing that would speak it.
    #[error("{0} is for --listen, which is not given; the Unix socket is always in clear text")]
    NothingListens(&'static str),
}

/// Without a host it is every address, of both families.
fn socket_address(text: &str) -> Result<SocketAddr, InvalidListenAddress> {
    let ListenAddress { host, port } = text.parse()?;
    Ok(SocketAddr::new(host.unwrap_or(Ipv6Addr::UNSPECIFIED.into()), port))
}

// === impl TcpArgs ===

impl TcpArgs {
    /// What the flags mean together.
    pub fn resolve(&self) -> Result<Tcp, InvalidTcp> {
        let Self { listen, tls_cert_file, tls_key_file, tls_client_ca_files, disable_tls } = self;
        let given = [
            ("--tls-cert-file", tls_cert_file.is_some()),
            ("--tls-key-file", tls_key_file.is_some()),
            ("--tls-client-ca-files", !tls_client_ca_files.is_empty()),
        ];
        let of_tls = given.iter().find_map(|(flag, given)| given.then_some(*flag));
        match (*listen, *disable_tls, of_tls) {
            (_, true, Some(flag)) => Err(InvalidTcp::Contradiction(flag)),
            (None, false, Some(flag)) => Err(InvalidTcp::NothingListens(flag)),
            (None, _, None) => Ok(Tcp::Off),
            (Some(address), true, None) => Ok(Tcp::ClearText(address)),
            (Some(address), false, None) => Err(InvalidTcp::NoCertificate(address)),
            (Some(address), false, Some(_)) => match (tls_cert_file, tls_key_file) {
                (Some(certificate), Some(key)) => Ok(Tcp::Tls(
                    address,
                    TlsFiles {
                        certificate: certificate.clone(),
                        key: key.clone(),
                        client_authorities: tls_client_ca_files.clone(),
                    },
                )),
                (Some(_), None) => Err(InvalidTcp::HalfPair("--tls-cert-file")),
                (None, Some(_)) => Err(InvalidTcp::HalfPair("--tls-key-file")),
                (None, None) => Err(InvalidTcp::OnlyAuthorities),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        tcp: TcpArgs,
    }

    fn resolve(line: &str) -> Result<Tcp, String> {
        let words = std::iter::once("agent").chain(line.split_whitespace());
        let Line { tcp } = Line::try_parse_from(words).expect("flags that are there");
        tcp.resolve().map_err(|error| error.to_string())
    }

    #[test]
    fn tcp_is_off_unless_asked_for_and_clear_text_only_when_asked_for() {
        let address: SocketAddr = "127.0.0.1:4244".parse().unwrap();
        let tls = |authorities: &[&str]| {
            Tcp::Tls(
                address,
                TlsFiles {
                    certificate: "c".into(),
                    key: "k".into(),
                    client_authorities: authorities.iter().map(PathBuf::from).collect(),
                },
            )
        };
        let pair = "--tls-cert-file c --tls-key-file k";
        for (line, expected) in [
            (String::new(), Tcp::Off),
            ("--disable-tls".to_owned(), Tcp::Off),
            ("--listen 127.0.0.1:4244 --disable-tls".to_owned(), Tcp::ClearText(address)),
            ("--listen :4244 --disable-tls".to_owned(), Tcp::ClearText("[::]:4244".parse().unwrap())),
            // the name that Hubble's relay has for it
            ("--listen 127.0.0.1:4244 --disable-server-tls".to_owned(), Tcp::ClearText(address)),
            (format!("--listen 127.0.0.1:4244 {pair}"), tls(&[])),
            (format!("--listen 127.0.0.1:4244 {pair} --tls-client-ca-files a,b"), tls(&["a", "b"])),
            (
                format!("--listen 127.0.0.1:4244 {pair} --tls-client-ca-files a --tls-client-ca-files b"),
                tls(&["a", "b"]),
            ),
        ] {
            assert_eq!(resolve(&line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn flags_that_do_not_go_together_are_named_with_what_can_be_chosen() {
        for (line, expected) in [
            (
                "--listen [::1]:4244",
                "--listen [::1]:4244 speaks TLS: name its certificate with --tls-cert-file and --tls-key-file, or \
                 choose clear text with --disable-tls",
            ),
            (
                "--listen [::1]:4244 --tls-cert-file c",
                "--tls-cert-file and --tls-key-file are both required, but only --tls-cert-file was given",
            ),
            (
                "--listen [::1]:4244 --tls-key-file k --tls-client-ca-files a",
                "--tls-cert-file and --tls-key-file are both required, but only --tls-key-file was given",
            ),
            (
                "--listen [::1]:4244 --tls-client-ca-files a",
                "--tls-client-ca-files needs --tls-cert-file and --tls-key-file",
            ),
            (
                "--listen [::1]:4244 --disable-tls --tls-key-file k",
                "--disable-tls and --tls-key-file contradict; leave one of them out",
            ),
            (
                "--disable-tls --tls-client-ca-files a",
                "--disable-tls and --tls-client-ca-files contradict; leave one of them out",
            ),
            (
                "--tls-cert-file c --tls-key-file k",
                "--tls-cert-file is for --listen, which is not given; the Unix socket is always in clear text",
            ),
        ] {
            assert_eq!(resolve(line), Err(expected.to_owned()), "{line}");
        }
    }
}
