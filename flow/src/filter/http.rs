//! `http_status_code`, `http_method`, `http_path`, `http_url`, `http_header`.

use palomar_proto::flow::layer7::Record;
use palomar_proto::flow::{FlowFilter, Http, HttpHeader};
use regex::Regex;

use super::InvalidFilter;
use super::test::Test;
use crate::go::{regexp, request_uri};
use crate::view::FlowView;

/// The number of the event type `l7`.
const L7: i32 = 129;

/// One field about HTTP, of whose values one must fit. A flow without an HTTP record never matches.
#[derive(Debug)]
pub(super) enum HttpTest {
    /// The three digits of a code, or what they begin with.
    Status(Vec<String>),
    Method(Vec<String>),
    Path(Vec<Regex>),
    Url(Vec<Regex>),
    Header(Vec<HttpHeader>),
}

pub(super) fn compile(filter: &FlowFilter) -> Result<Vec<Test>, InvalidFilter> {
    let mut tests = Vec::new();
    let mut add =
        |is_given: bool, what: &'static str, compile: &dyn Fn() -> Result<HttpTest, InvalidFilter>| {
            if !is_given {
                return Ok(());
            }
            if !filter.event_type.is_empty() && filter.event_type.iter().all(|event| event.r#type != L7) {
                return Err(InvalidFilter::HttpWithoutL7(what));
            }
            tests.push(Test::Http(compile()?));
            Ok(())
        };
    add(!filter.http_status_code.is_empty(), "status code", &|| {
        filter
            .http_status_code
            .iter()
            .map(|code| status_prefix(code))
            .collect::<Result<_, _>>()
            .map(HttpTest::Status)
    })?;
    add(!filter.http_method.is_empty(), "method", &|| Ok(HttpTest::Method(filter.http_method.clone())))?;
    add(!filter.http_path.is_empty(), "path", &|| patterns(&filter.http_path, "path").map(HttpTest::Path))?;
    add(!filter.http_url.is_empty(), "url", &|| patterns(&filter.http_url, "url").map(HttpTest::Url))?;
    add(!filter.http_header.is_empty(), "headers", &|| Ok(HttpTest::Header(filter.http_header.clone())))?;
    Ok(tests)
}

/// `404`, or `4+` and `40+` for what begins so.
fn status_prefix(code: &str) -> Result<String, InvalidFilter> {
    let digits = code.strip_suffix('+').unwrap_or(code);
    let is_code =
        matches!(digits.as_bytes(), [b'1'..=b'5', rest @ ..] if rest.iter().all(u8::is_ascii_digit));
    match (digits.len(), code.len() - digits.len()) {
        (3, 0) | (1..=2, 1) if is_code => Ok(digits.to_owned()),
        _ => Err(InvalidFilter::HttpStatus(code.to_owned())),
    }
}

fn patterns(patterns: &[String], what: &'static str) -> Result<Vec<Regex>, InvalidFilter> {
    let compile = |pattern: &String| {
        regexp::compile(pattern).map_err(|error| InvalidFilter::HttpPattern {
            what,
            pattern: pattern.clone(),
            error,
        })
    };
    patterns.iter().map(compile).collect()
}

impl HttpTest {
    pub(super) fn matches<V: FlowView>(&self, flow: &V) -> bool {
        match flow.layer7().and_then(|layer7| layer7.record.as_ref()) {
            Some(Record::Http(http)) => self.matches_record(http),
            _ => false,
        }
    }

    fn matches_record(&self, http: &Http) -> bool {
        match self {
            Self::Status(prefixes) => {
                let code = format!("{:03}", http.code);
                http.code != 0
                    && prefixes.iter().any(|prefix| match prefix.len() {
                        3 => code == *prefix,
                        _ => code.starts_with(prefix),
                    })
            }
            Self::Method(methods) => {
                !http.method.is_empty()
                    && methods.iter().any(|method| method.to_lowercase() == http.method.to_lowercase())
            }
            Self::Path(patterns) => {
                let path = if http.url.is_empty() { None } else { request_uri::path(&http.url) };
                path.is_some_and(|path| patterns.iter().any(|pattern| pattern.is_match(&path)))
            }
            Self::Url(patterns) => {
                !http.url.is_empty() && patterns.iter().any(|pattern| pattern.is_match(&http.url))
            }
            Self::Header(headers) => http.headers.iter().any(|header| headers.contains(header)),
        }
    }
}
