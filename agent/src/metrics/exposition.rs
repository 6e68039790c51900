//! The text that a scraper reads, in both of its formats.
//!
//! They differ in little: the older one names a counter's family with `_total` and knows no units and no info
//! metrics; `OpenMetrics` names it without, and ends with a line that says so. Names, labels and values are the same.

mod labels;
mod number;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

pub use labels::Labels;
pub use number::Number;

/// A format of the exposition text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// `OpenMetrics` text, version 1.0.0.
    OpenMetrics,
}

/// The text under construction: families one after the other.
#[derive(Debug)]
pub struct Exposition {
    format: Format,
    text: String,
}

/// A family whose samples are written. Each set of labels once.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
    suffix: &'static str,
}

/// A histogram whose series are written.
#[derive(Debug)]
pub struct Histogram<'a> {
    text: &'a mut String,
    name: &'static str,
}

// === impl Format ===

impl Format {
    /// The value of the `Content-Type` header.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

// === impl Exposition ===

impl Exposition {
    /// An empty text.
    pub const fn new(format: Format) -> Self {
        Self { format, text: String::new() }
    }

    /// A family of counters. The name is without `_total`; a name that ends in a unit tells it.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        let family_suffix = if self.format == Format::Prometheus { "_total" } else { "" };
        self.describe(name, family_suffix, "counter", help);
        Family { text: &mut self.text, name, suffix: "_total" }
    }

    /// A family of gauges. A name that ends in a unit tells it.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.describe(name, "", "gauge", help);
        Family { text: &mut self.text, name, suffix: "" }
    }

    /// One fact whose labels tell it. The name is without `_info`.
    pub fn info(&mut self, name: &'static str, help: &str, labels: &Labels) {
        match self.format {
            Format::Prometheus => self.describe(name, "_info", "gauge", help),
            Format::OpenMetrics => self.describe(name, "", "info", help),
        }
        Family { text: &mut self.text, name, suffix: "_info" }.sample(labels, 1_u64);
    }

    /// A family of histograms. A name that ends in a unit tells it.
    pub fn histogram(&mut self, name: &'static str, help: &str) -> Histogram<'_> {
        self.describe(name, "", "histogram", help);
        Histogram { text: &mut self.text, name }
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn describe(&mut self, name: &str, suffix: &str, kind: &str, help: &str) {
        let Self { format, text } = self;
        text.push_str("# HELP ");
        text.push_str(name);
        text.push_str(suffix);
        text.push(' ');
        match format {
            Format::Prometheus => labels::escape_help(help, text),
            Format::OpenMetrics => labels::escape(help, text),
        }
        writing(writeln!(text, "\n# TYPE {name}{suffix} {kind}"));
        let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
        if let (Format::OpenMetrics, Some(unit)) = (format, unit) {
            writing(writeln!(text, "# UNIT {name} {unit}"));
        }
    }
}

// === impl Family ===

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: &Labels, value: impl Into<Number>) {
        self.sample_of(labels.as_str(), value);
    }

    /// One sample with labels that were written before: see [`Labels::as_str`].
    pub fn sample_of(&mut self, labels: &str, value: impl Into<Number>) {
        sample(self.text, self.name, self.suffix, labels, value.into());
    }
}

// === impl Histogram ===

impl Histogram<'_> {
    /// One series: for each bound, which is told as text, how many observations were at most that; then how many
    /// there were in all, and their sum.
    pub fn series(&mut self, labels: &Labels, buckets: &[(&str, u64)], count: u64, sum: f64) {
        for (bound, at_most) in buckets.iter().copied().chain([("+Inf", count)]) {
            let labels = labels.clone().with("le", bound);
            sample(self.text, self.name, "_bucket", labels.as_str(), at_most.into());
        }
        sample(self.text, self.name, "_sum", labels.as_str(), sum.into());
        sample(self.text, self.name, "_count", labels.as_str(), count.into());
    }
}

fn sample(text: &mut String, name: &str, suffix: &str, labels: &str, value: Number) {
    text.push_str(name);
    text.push_str(suffix);
    if !labels.is_empty() {
        text.push('{');
        text.push_str(labels);
        text.push('}');
    }
    writing(writeln!(text, " {value}"));
}

fn writing(result: std::fmt::Result) {
    result.expect("invariant: writing to a String never fails");
}
