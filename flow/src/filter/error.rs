//! What can be wrong with a filter, in the words of the stock server.

use super::pattern::InvalidPattern;
use super::{MAX_CEL_BYTES, MAX_CEL_EXPRESSIONS, MAX_FILTERS, MAX_REGEXPS, MAX_VALUES};
use crate::go::address::{InvalidAddress, InvalidPrefix};
use crate::go::quote::Quoted;
use crate::go::regexp::InvalidRegexp;
use crate::selector::InvalidSelector;

/// A filter that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// More than [`MAX_FILTERS`].
    #[error(
        "too many filters: {0} in both lists together, of at most {MAX_FILTERS}; put several values into one filter"
    )]
    TooManyFilters(usize),
    /// More than [`MAX_VALUES`].
    #[error("too many values in filters: {0} in all fields of both lists together, of at most {MAX_VALUES}")]
    TooManyValues(usize),
    /// More than [`MAX_REGEXPS`].
    #[error(
        "too many regular expressions in filters: {0} in dns_query, http_path and http_url together, of at most \
         {MAX_REGEXPS}; join them with |"
    )]
    TooManyRegexps(usize),
    /// A protocol that Hubble does not know.
    #[error("invalid protocol filter: unknown protocol: {}", Quoted(.0))]
    Protocol(String),
    /// An address that is none.
    #[error("invalid IP address {} in filter: {error}", Quoted(text))]
    Address {
        /// The text of the filter.
        text: String,
        /// What is wrong with it.
        error: InvalidAddress,
    },
    /// A prefix that is none.
    #[error("invalid IP prefix {} in filter: {error}", Quoted(text))]
    Prefix {
        /// The text of the filter.
        text: String,
        /// What is wrong with it.
        error: InvalidPrefix,
    },
    /// An empty pod or cluster name.
    #[error("invalid filter, name must not be empty")]
    EmptyName,
    /// An empty service name.
    #[error("invalid {0} service filter: invalid filter, name must not be empty")]
    EmptyService(&'static str),
    /// A name pattern (DNS name or node) that is none.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// A DNS query that is no regular expression.
    #[error("invalid DNS query filter: failed to compile regexp: {0}")]
    DnsQuery(InvalidRegexp),
    /// A label selector that is none; whose labels: `source`, `destination` or `node`.
    #[error("invalid {whose} label filter: {error}")]
    Labels {
        /// Whose labels.
        whose: &'static str,
        /// What is wrong with the selector.
        error: InvalidSelector,
    },
    /// A port that is none.
    #[error(
        "invalid {side} port filter: invalid port {}: strconv.ParseUint: parsing {}: {reason}",
        Quoted(text),
        Quoted(text)
    )]
    Port {
        /// `source` or `destination`.
        side: &'static str,
        /// The text of the filter.
        text: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An HTTP field together with event types of which none is `l7`.
    #[error("filtering by http {0} requires the event type filter to only match 'l7' events")]
    HttpWithoutL7(&'static str),
    /// An HTTP status that is neither a code nor the beginning of one with `+`.
    #[error("invalid http status code filter: invalid status code prefix: {}", Quoted(.0))]
    HttpStatus(String),
    /// An HTTP path or URL that is no regular expression.
    #[error("invalid http {what} filter: {pattern}: {error}")]
    HttpPattern {
        /// `path` or `url`.
        what: &'static str,
        /// The text of the filter.
        pattern: String,
        /// What is wrong with it.
        error: InvalidRegexp,
    },
    /// More than [`MAX_CEL_EXPRESSIONS`].
    #[error("too many CEL expressions in filters: {0}, of at most {MAX_CEL_EXPRESSIONS}; join them with ||")]
    TooManyCelExpressions(usize),
    /// A CEL expression that is none, or gives no bool.
    #[error("error compiling CEL expression: {0}")]
    Cel(InvalidCel),
}

/// What is wrong with a CEL expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCel {
    /// Everything that is wrong, each with its place, in several lines.
    #[error("{0}")]
    Issues(String),
    /// The type of its result, which is not bool.
    #[error("got \"{0}\", wanted \"bool\" result type")]
    Result(String),
    /// The parser failed in a way that it should not.
    #[error("the parser failed")]
    Panicked,
    /// No thread for the parser.
    #[error("the parser cannot run now: {0}")]
    NoThread(std::io::ErrorKind),
    /// More than [`MAX_CEL_BYTES`].
    #[error("the expression has {0} bytes, of at most {MAX_CEL_BYTES}")]
    TooLong(usize),
}

impl InvalidFilter {
    /// Whether nothing is wrong with the filters but their number.
    pub const fn is_too_much(&self) -> bool {
        matches!(
            self,
            Self::TooManyFilters(_)
                | Self::TooManyValues(_)
                | Self::TooManyRegexps(_)
                | Self::TooManyCelExpressions(_)
        )
    }
}
