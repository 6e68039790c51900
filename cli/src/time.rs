//! Times as users write and read them, in Go's notations, with days and weeks besides.

mod calendar;
mod duration;
mod instant;
mod layout;
mod scan;

pub use duration::{InvalidDuration, format_duration, parse_duration};
pub use instant::{InvalidTime, parse_instant};
pub use layout::TimeFormat;
