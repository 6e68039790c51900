//! Label selectors, as Kubernetes evaluates them.

use std::fmt;

use crate::labels::Labels;

/// A label selector: all requirements must hold. Empty: matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector {
    /// The requirements, all of which must hold. `matchLabels` entries come first, as [`Requirement::In`] with one value.
    pub requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Requirement {
    /// The label is there and has one of these values.
    In(String, Vec<String>),
    /// The label is absent, or has none of these values.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is absent.
    DoesNotExist(String),
}

impl Selector {
    /// A selector that asks for exactly these `key = value` pairs.
    pub fn of_labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let requirements =
            pairs.into_iter().map(|(key, value)| Requirement::In(key.into(), vec![value.into()])).collect();
        Self { requirements }
    }

    /// Whether the labels satisfy every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| requirement.matches(labels))
    }
}

impl Requirement {
    /// Whether the labels satisfy this requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Self::Exists(key) => labels.contains_key(key),
            Self::DoesNotExist(key) => !labels.contains_key(key),
        }
    }

    /// The label key that the requirement reads.
    pub fn key(&self) -> &str {
        match self {
            Self::In(key, _) | Self::NotIn(key, _) | Self::Exists(key) | Self::DoesNotExist(key) => key,
        }
    }
}

/// `role=frontend`, `role in (a, b)`, `role not in (a, b)`, `role exists`, `role does not exist`
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(key, values) => match values.as_slice() {
                [value] => write!(f, "{key}={value}"),
                _ => write!(f, "{key} in ({})", values.join(", ")),
            },
            Self::NotIn(key, values) => write!(f, "{key} not in ({})", values.join(", ")),
            Self::Exists(key) => write!(f, "{key} exists"),
            Self::DoesNotExist(key) => write!(f, "{key} does not exist"),
        }
    }
}

/// The requirements, `, ` between them; nothing where everything matches.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_follow_kubernetes_on_present_absent_and_other_values() {
        let labels = Labels::from([("app".into(), "web".into()), ("empty".into(), String::new())]);
        let values = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let table = [
            ("In with the value", Requirement::In("app".into(), values(&["db", "web"])), true),
            ("In with another value", Requirement::In("app".into(), values(&["db"])), false),
            ("In on an absent key", Requirement::In("tier".into(), values(&["db"])), false),
            ("NotIn with the value", Requirement::NotIn("app".into(), values(&["web"])), false),
            ("NotIn with another value", Requirement::NotIn("app".into(), values(&["db"])), true),
            ("NotIn on an absent key", Requirement::NotIn("tier".into(), values(&["db"])), true),
            ("Exists on a present key", Requirement::Exists("app".into()), true),
            ("Exists on an empty value", Requirement::Exists("empty".into()), true),
            ("Exists on an absent key", Requirement::Exists("tier".into()), false),
            ("DoesNotExist on a present key", Requirement::DoesNotExist("app".into()), false),
            ("DoesNotExist on an absent key", Requirement::DoesNotExist("tier".into()), true),
        ];
        for (name, requirement, expected) in table {
            assert_eq!(requirement.matches(&labels), expected, "{name}");
        }
        assert!(Selector::default().matches(&Labels::new()), "an empty selector matches no labels at all");
    }

    #[test]
    fn selectors_print_as_people_say_them() {
        let values = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let requirements = vec![
            Requirement::In("role".into(), values(&["frontend"])),
            Requirement::In("tier".into(), values(&["a", "b"])),
            Requirement::NotIn("env".into(), values(&["test"])),
            Requirement::Exists("app".into()),
            Requirement::DoesNotExist("old".into()),
        ];
        assert_eq!(
            Selector { requirements }.to_string(),
            "role=frontend, tier in (a, b), env not in (test), app exists, old does not exist"
        );
    }
}
