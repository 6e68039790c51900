//! As much of HTTP/1.1 as a demo needs.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::server::{self, TcpServer, Threads};
use super::{Connection, TrafficError};
use crate::Place;

/// How long [`Place::get`] waits.
const TIMEOUT: Duration = Duration::from_secs(2);
/// More than this much of a request's head or of an answer is refused.
const LIMIT: u64 = 1 << 20;
/// A client that does not finish its request in this time is not answered.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Place ===

impl Place {
    /// Answers each request to `port` with the place's short name and a newline.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn serve_http(&self, port: u16) -> Result<TcpServer, TrafficError> {
        let body = format!("{}\n", self.short_name());
        TcpServer::start(self, port, Threads::PerConnection, move |stream| answer(&stream, &body))
    }

    /// The body of an answer to `GET url`, waiting two seconds for it: see [`Self::get_within`].
    ///
    /// # Errors
    /// See there.
    pub fn get(&self, url: &str) -> Result<String, TrafficError> {
        self.get_within(url, TIMEOUT)
    }

    /// The body of an answer to `GET url`. The URL's host is an address, its scheme `http`.
    ///
    /// # Errors
    /// [`TrafficError::Timeout`] after `timeout` in all, [`TrafficError::Unexpected`] for a status other than 200.
    pub fn get_within(&self, url: &str, timeout: Duration) -> Result<String, TrafficError> {
        let (server, path) = parse_url(url)?;
        let deadline = Instant::now() + timeout;
        let mut connection = self.connect(server, timeout)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
        connection.send(request.as_bytes())?;
        body_of(&read_all(&mut connection, deadline)?)
    }
}

/// Answers each request to `port` of the caller's own network namespace with `body` and a newline, until the process
/// ends: for a server that is to outlive the program that has built the lab.
///
/// # Errors
/// When the port is taken.
pub fn serve_blocking(port: u16, body: &str) -> io::Result<()> {
    let listener = server::listen(port)?;
    let body = format!("{body}\n");
    for stream in listener.incoming() {
        let (stream, body) = (stream?, body.clone());
        std::thread::spawn(move || answer(&stream, &body));
    }
    Ok(())
}

/// Reads one request and answers it.
fn answer(stream: &TcpStream, body: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    let mut lines = BufReader::new(stream.take(LIMIT)).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let complete = loop {
        match lines.next().transpose()? {
            Some(header) if !header.is_empty() => {}
            end => break end.is_some(),
        }
    };
    let method = request.split(' ').next().unwrap_or_default();
    let (status, body) = match method {
        _ if !complete => return Ok(()),
        "GET" => ("200 OK", body),
        "HEAD" => ("200 OK", ""),
        _ => ("405 Method Not Allowed", "GET and HEAD only\n"),
    };
    let length = body.len();
    let mut stream = stream;
    stream.write_all(
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .as_bytes(),
    )
}

/// The server and the path of `http://address:port/path`.
fn parse_url(url: &str) -> Result<(SocketAddr, &str), TrafficError> {
    let parsed = url.strip_prefix("http://").and_then(|rest| {
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let server = authority.parse().or_else(|_| format!("{authority}:80").parse()).ok()?;
        Some((server, if path.is_empty() { "/" } else { path }))
    });
    parsed.ok_or_else(|| TrafficError::Local(format!("{url:?} is not of the form http://address:port/path")))
}

fn read_all(connection: &mut Connection, deadline: Instant) -> Result<Vec<u8>, TrafficError> {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = connection.receive(&mut buffer, deadline.saturating_duration_since(Instant::now()))?;
        if read == 0 {
            return Ok(answer);
        }
        answer.extend_from_slice(&buffer[..read]);
        if answer.len() as u64 > LIMIT {
            return Err(TrafficError::Unexpected(format!("an answer of more than {LIMIT} bytes")));
        }
    }
}

/// The body of an answer with status 200 that came in full.
fn body_of(answer: &[u8]) -> Result<String, TrafficError> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(TrafficError::Ended)?;
    let status = head.lines().next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200 ") && !status.starts_with("HTTP/1.0 200 ") {
        return Err(TrafficError::Unexpected(status.to_owned()));
    }
    let lengths = head.lines().filter_map(|line| line.split_once(':'));
    let length = lengths
        .filter(|(key, _)| key.eq_ignore_ascii_case("content-length"))
        .find_map(|(_, v)| v.trim().parse().ok());
    if length.is_some_and(|length: usize| body.len() < length) {
        Err(TrafficError::Ended)
    } else {
        Ok(body.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parsed = |url| parse_url(url).map(|(server, path)| (server.to_string(), path.to_owned()));
        for (url, server, path) in [
            ("http://10.0.0.1:8080/", "10.0.0.1:8080", "/"),
            ("http://10.0.0.1/a/b", "10.0.0.1:80", "/a/b"),
            ("http://[fd00::1]:8080", "[fd00::1]:8080", "/"),
        ] {
            assert_eq!(parsed(url), Ok((server.to_owned(), path.to_owned())), "{url}");
        }
        for bad in ["", "https://10.0.0.1/", "http://web/", "http://"] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers() {
        for (answer, outcome) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nweb\n", Ok("web\n".to_owned())),
            ("HTTP/1.0 200 OK\r\n\r\n", Ok(String::new())),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nweb\n", Err(TrafficError::Ended)),
            ("HTTP/1.1 200 OK\r\n", Err(TrafficError::Ended)),
            ("", Err(TrafficError::Ended)),
            ("HTTP/1.1 404 No\r\n\r\n", Err(TrafficError::Unexpected("HTTP/1.1 404 No".to_owned()))),
        ] {
            assert_eq!(body_of(answer.as_bytes()), outcome, "{answer:?}");
        }
    }
}
