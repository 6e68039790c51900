//! Times as users write and read them, in Go's notations.

mod duration;
mod instant;
mod layout;

pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use instant::{InvalidTime, parse_instant};
pub use layout::TimeFormat;
