//! A label selector.

use palomar_model::selector::{Requirement, Selector};

use super::{Faults, FieldPath, Reason, each, label_syntax};
use crate::draft::{ExpressionDraft, SelectorDraft};

/// What is good of it; all of it where no fault is noted.
pub(super) fn validate(draft: SelectorDraft, path: &FieldPath, faults: &mut Faults) -> Selector {
    let SelectorDraft { match_labels, match_expressions } = draft;
    let mut requirements = Vec::new();
    for (key, value) in match_labels.unwrap_or_default() {
        let at = path.key("matchLabels").label(&key);
        let key = label_syntax::key(key, &at, faults);
        let value = label_syntax::value(value, &at, faults);
        requirements.extend(key.zip(value).map(|(key, value)| Requirement::In(key, vec![value])));
    }
    requirements.extend(each(match_expressions, &path.key("matchExpressions"), faults, expression));
    Selector { requirements }
}

fn expression(draft: ExpressionDraft, path: &FieldPath, faults: &mut Faults) -> Option<Requirement> {
    let ExpressionDraft { key, operator, values } = draft;
    let key_at = path.key("key");
    let key = match key {
        Some(key) => label_syntax::key(key, &key_at, faults),
        None => faults.reject(&key_at, Reason::Missing),
    };
    let operator_at = path.key("operator");
    let operator = match operator {
        Some(written) => Operator::read(written, &operator_at, faults),
        None => faults.reject(&operator_at, Reason::Missing),
    };
    let values_at = path.key("values");
    let has_values = values.as_ref().is_some_and(|values| !values.is_empty());
    let values = each(values, &values_at, faults, label_syntax::value);
    let operator = operator?;
    match (operator.takes_values(), has_values) {
        (true, false) => faults.reject(&values_at, Reason::ValuesMissing { operator: operator.name() }),
        (false, true) => faults.reject(&values_at, Reason::ValuesForbidden { operator: operator.name() }),
        _ => key.map(|key| operator.of(key, values)),
    }
}

#[derive(Debug, Clone, Copy)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Operator {
    fn read(written: String, path: &FieldPath, faults: &mut Faults) -> Option<Self> {
        let all = [Self::In, Self::NotIn, Self::Exists, Self::DoesNotExist];
        match all.into_iter().find(|operator| operator.name() == written) {
            Some(operator) => Some(operator),
            None => faults.reject(path, Reason::UnknownOperator { written }),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }

    const fn takes_values(self) -> bool {
        match self {
            Self::In | Self::NotIn => true,
            Self::Exists | Self::DoesNotExist => false,
        }
    }

    fn of(self, key: String, values: Vec<String>) -> Requirement {
        match self {
            Self::In => Requirement::In(key, values),
            Self::NotIn => Requirement::NotIn(key, values),
            Self::Exists => Requirement::Exists(key),
            Self::DoesNotExist => Requirement::DoesNotExist(key),
        }
    }
}
