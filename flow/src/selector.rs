//! The Kubernetes label selector as text: `app=web,tier in (a, b),!legacy`.

mod lexer;
mod parser;
mod validate;

pub use parser::InvalidSelector;

/// A label selector: all requirements must hold. Empty: matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// The requirements, in the order of the text.
    pub requirements: Vec<Requirement>,
}

/// One requirement on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What its value must be.
    pub condition: Condition,
}

/// What a requirement asks of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The label is there and has one of these values; of `=` and `==` as well.
    In(Vec<String>),
    /// The label is absent or has none of these values; of `!=` as well.
    NotIn(Vec<String>),
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// The value is an integer greater than this.
    GreaterThan(i64),
    /// The value is an integer less than this.
    LessThan(i64),
}

impl Selector {
    /// Reads a selector. A text of nothing but spaces is the empty selector.
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        parser::parse(text)
    }

    /// Whether labels satisfy every requirement; `value_of` gives the value of a key, `None` where it is absent.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements.iter().all(|requirement| requirement.condition.holds(value_of(&requirement.key)))
    }
}

impl Condition {
    /// Whether a label with this value (`None`: an absent label) satisfies the condition.
    pub fn holds(&self, value: Option<&str>) -> bool {
        let among = |values: &[String], value: &str| values.iter().any(|candidate| candidate == value);
        let integer = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::In(values) => value.is_some_and(|value| among(values, value)),
            Self::NotIn(values) => value.is_none_or(|value| !among(values, value)),
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::GreaterThan(bound) => integer().is_some_and(|value| value > *bound),
            Self::LessThan(bound) => integer().is_some_and(|value| value < *bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(selector: &str, labels: &[(&str, &str)]) -> bool {
        Selector::parse(selector)
            .unwrap()
            .matches(|key| labels.iter().find(|(candidate, _)| *candidate == key).map(|(_, value)| *value))
    }

    #[test]
    fn each_operator_on_present_absent_and_other_values() {
        let labels = [("app", "web"), ("size", "10"), ("empty", "")];
        let table = [
            ("", true),
            ("app", true),
            ("!app", false),
            ("absent", false),
            ("!absent", true),
            ("app=web", true),
            ("app==web", true),
            ("app = web , size", true),
            ("app!=web", false),
            ("absent!=web", true),
            ("app in (db, web)", true),
            ("app in (db)", false),
            ("app notin (db)", true),
            ("absent notin (db)", true),
            ("absent in (db)", false),
            ("size>9", true),
            ("size<10", false),
            ("app>9", false),
            ("empty=", true),
            ("empty in ()", true),
            ("empty in (,x)", true),
            ("app=web,size=11", false),
        ];
        for (selector, expected) in table {
            assert_eq!(holds(selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn keywords_are_names_where_a_name_is_expected() {
        assert!(holds("in in (in,notin)", &[("in", "notin")]));
        assert!(holds("notin", &[("notin", "x")]));
        assert!(holds("x=in", &[("x", "in")]));
    }

    #[test]
    fn errors_are_in_the_words_of_kubernetes() {
        let key = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                   alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        let value = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                     must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
                     regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
        let table = [
            ("a=b=c", "found '=', expected: ',' or 'end of string'".to_owned()),
            ("!a=b", "found '=', expected: ',' or 'end of string'".to_owned()),
            ("!a in (b)", "found 'in', expected: ',' or 'end of string'".to_owned()),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'".to_owned()),
            ("a,", "found '', expected: identifier after ','".to_owned()),
            ("=a", "found '=', expected: !, identifier, or 'end of string'".to_owned()),
            ("a in b", "unable to parse requirement: found 'b' expected: '('".to_owned()),
            ("!", "unable to parse requirement: found '', expected: identifier".to_owned()),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt".to_owned(),
            ),
            ("a=(", "unable to parse requirement: found '(', expected: identifier".to_owned()),
            (
                "a in (!)",
                "unable to parse requirement: found '!', expected: ',', ')' or identifier".to_owned(),
            ),
            ("-a", format!("unable to parse requirement: <nil>: Invalid value: \"-a\": {key}")),
            ("a=-", format!("unable to parse requirement: values[0][a]: Invalid value: \"-\": {value}")),
            (
                "a>x",
                "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the \
                 value must be an integer"
                    .to_owned(),
            ),
        ];
        for (selector, expected) in table {
            assert_eq!(Selector::parse(selector).map_err(|error| error.to_string()), Err(expected));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z=!(),<> -]{0,20}|.{0,20}") {
            let _ = Selector::parse(&text);
        }
    }
}
