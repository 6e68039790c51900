//! A label selector.

use palomar_model::selector::{Requirement, Selector};

use super::{Checked, FieldPath, Reason, label_syntax};
use crate::draft::{ExpressionDraft, SelectorDraft};

pub(super) fn validate(draft: SelectorDraft, path: &FieldPath) -> Checked<Selector> {
    let SelectorDraft { match_labels, match_expressions } = draft;
    let mut requirements = Vec::new();
    for (key, value) in match_labels.unwrap_or_default() {
        let at = path.key("matchLabels").label(&key);
        let key = label_syntax::key(key, &at)?;
        requirements.push(Requirement::In(key, vec![label_syntax::value(value, &at)?]));
    }
    let expressions = super::each(match_expressions, &path.key("matchExpressions"), expression)?;
    requirements.extend(expressions);
    Ok(Selector { requirements })
}

fn expression(draft: ExpressionDraft, path: &FieldPath) -> Checked<Requirement> {
    let ExpressionDraft { key, operator, values } = draft;
    let key_at = path.key("key");
    let key = key.ok_or_else(|| key_at.reject(Reason::Missing))?;
    let key = label_syntax::key(key, &key_at)?;
    let operator_at = path.key("operator");
    let operator = operator.ok_or_else(|| operator_at.reject(Reason::Missing))?;
    let values_at = path.key("values");
    let some = |operator| {
        let values = super::each(values.clone(), &values_at, label_syntax::value)?;
        if values.is_empty() { Err(values_at.reject(Reason::ValuesMissing { operator })) } else { Ok(values) }
    };
    let none = |operator| match values.as_deref() {
        None | Some([]) => Ok(()),
        Some(_) => Err(values_at.reject(Reason::ValuesForbidden { operator })),
    };
    match operator.as_str() {
        "In" => Ok(Requirement::In(key, some("In")?)),
        "NotIn" => Ok(Requirement::NotIn(key, some("NotIn")?)),
        "Exists" => none("Exists").map(|()| Requirement::Exists(key)),
        "DoesNotExist" => none("DoesNotExist").map(|()| Requirement::DoesNotExist(key)),
        _ => Err(operator_at.reject(Reason::UnknownOperator { written: operator })),
    }
}
