//! What can be wrong with a list of metrics.

use super::context::{ContextLabel, Identifier};
use super::metric::Metric;

/// A list of metrics that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelection {
    /// There is no metric of this name.
    #[error("unknown metric {0:?}: choose from {metrics}", metrics = metrics())]
    UnknownMetric(String),
    /// Hubble has the metric, this agent has not.
    #[error(
        "metric {metric:?} is not supported by this agent yet, because it needs {needs}: choose from {metrics}",
        metrics = metrics()
    )]
    Unsupported {
        /// The metric.
        metric: &'static str,
        /// What it would take.
        needs: &'static str,
    },
    /// A metric can be counted one way only.
    #[error("metric {0:?} is listed twice: give all its options once")]
    MetricTwice(&'static str),
    /// The metric has no option of this name.
    #[error("unknown option {option:?} of metric {metric:?}: choose from {}", choices.join(", "))]
    UnknownOption {
        /// The metric.
        metric: &'static str,
        /// What was given.
        option: String,
        /// The options that it has.
        choices: Vec<&'static str>,
    },
    /// An option is given more than once.
    #[error("option {option:?} of metric {metric:?} is given twice")]
    OptionTwice {
        /// The metric.
        metric: &'static str,
        /// The option.
        option: String,
    },
    /// An option that only switches something on has a value.
    #[error("option {option:?} of metric {metric:?} takes no value, but has {value:?}: leave the value out")]
    ValueOfSwitch {
        /// The metric.
        metric: &'static str,
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
    },
    /// There is no context of this name.
    #[error(
        "unknown context {context:?} in option {option:?} of metric {metric:?}: choose from {contexts}, several \
         separated by |",
        contexts = contexts()
    )]
    UnknownContext {
        /// The metric.
        metric: &'static str,
        /// The option.
        option: &'static str,
        /// What was given; empty if nothing was.
        context: String,
    },
    /// There is no context label of this name.
    #[error(
        "unknown label {label:?} in option \"labelsContext\" of metric {metric:?}: choose from {labels}, several \
         separated by commas (the next metric after a space)",
        labels = labels()
    )]
    UnknownLabel {
        /// The metric.
        metric: &'static str,
        /// What was given; empty if nothing was.
        label: String,
    },
}

fn metrics() -> String {
    Metric::ALL.map(Metric::name).join(", ")
}

fn contexts() -> String {
    Identifier::ALL.map(Identifier::name).join(", ")
}

fn labels() -> String {
    ContextLabel::all().map(ContextLabel::name).collect::<Vec<_>>().join(", ")
}
