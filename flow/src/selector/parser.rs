//! From words to requirements.

use std::collections::BTreeSet;

use super::lexer::{Token, tokens};
use super::validate;
use super::{Condition, Requirement, Selector};

/// A text that is no label selector; prints in the words of Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelector {
    /// Something else stands where this was expected.
    #[error("found '{found}', expected: {expected}")]
    Unexpected {
        /// The word that was found; empty at the end of the text.
        found: String,
        /// What may stand there.
        expected: &'static str,
    },
    /// A requirement is wrong in itself.
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
}

pub(super) fn parse(text: &str) -> Result<Selector, InvalidSelector> {
    let mut parser = Parser { tokens: tokens(text), at: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            Token::Name(_) | Token::Not => {}
            Token::End => return Ok(Selector { requirements }),
            other => return Err(unexpected(other, "!, identifier, or 'end of string'")),
        }
        requirements.push(parser.requirement().map_err(InvalidSelector::Requirement)?);
        match (parser.next(), parser.peek()) {
            (Token::End, _) => return Ok(Selector { requirements }),
            (Token::Comma, Token::Name(_) | Token::Not) => {}
            (Token::Comma, other) => return Err(unexpected(other, "identifier after ','")),
            (other, _) => return Err(unexpected(other, "',' or 'end of string'")),
        }
    }
}

fn unexpected(token: Token<'_>, expected: &'static str) -> InvalidSelector {
    InvalidSelector::Unexpected { found: token.text().to_owned(), expected }
}

/// What is wrong within a requirement.
fn wrong<T>(token: Token<'_>, expected: &str) -> Result<T, String> {
    Err(format!("found '{}', expected: {expected}", token.text()))
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// The word that stands next; the end stands after the end.
    fn peek_operator(&self) -> Token<'a> {
        self.tokens.get(self.at).copied().unwrap_or(Token::End)
    }

    fn peek(&self) -> Token<'a> {
        self.peek_operator().as_name()
    }

    fn next(&mut self) -> Token<'a> {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.next();
        let negated = token == Token::Not;
        if negated {
            token = self.next();
        }
        let Token::Name(key) = token else { return wrong(token, "identifier") };
        validate::key(key)?;
        let ends_here = matches!(self.peek(), Token::End | Token::Comma);
        let condition = match (negated, ends_here) {
            // an operator behind `!key` is one too many, and stays for the caller to meet
            (true, _) => Condition::DoesNotExist,
            (false, true) => Condition::Exists,
            (false, false) => self.condition(key)?,
        };
        Ok(Requirement { key: key.to_owned(), condition })
    }

    fn condition(&mut self, key: &str) -> Result<Condition, String> {
        let operator = self.peek_operator();
        self.at += 1;
        let values = match operator {
            Token::In | Token::NotIn => self.values()?,
            Token::Equals | Token::DoubleEquals | Token::NotEquals | Token::GreaterThan | Token::LessThan => {
                vec![self.value()?]
            }
            other => return wrong(other, "in, notin, =, ==, !=, gt, lt"),
        };
        let bound = || {
            let value = values.first().map_or("", String::as_str);
            validate::integer(key, value)
        };
        let condition = match operator {
            Token::NotIn | Token::NotEquals => Condition::NotIn(values),
            Token::GreaterThan => return bound().map(Condition::GreaterThan),
            Token::LessThan => return bound().map(Condition::LessThan),
            _ => Condition::In(values),
        };
        if let Condition::In(values) | Condition::NotIn(values) = &condition {
            validate::values(key, values)?;
        }
        Ok(condition)
    }

    /// The value behind `=`; an empty one where a comma or the end follows.
    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Comma => Ok(String::new()),
            Token::Name(value) => {
                self.at += 1;
                Ok(value.to_owned())
            }
            other => wrong(other, "identifier"),
        }
    }

    /// The values behind `in` and `notin`, sorted; `()` holds the empty value.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Open {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        match self.peek() {
            Token::Name(_) | Token::Comma => {}
            Token::Close => {
                self.at += 1;
                return Ok(vec![String::new()]);
            }
            other => return wrong(other, "',', ')' or identifier"),
        }
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                Token::Name(value) => {
                    values.insert(value.to_owned());
                    match self.peek() {
                        Token::Comma => {}
                        Token::Close => break,
                        other => return wrong(other, "',' or ')'"),
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek() {
                        Token::Close => {
                            values.insert(String::new());
                            break;
                        }
                        Token::Comma => {
                            self.at += 1;
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                other => return wrong(other, "',', or identifier"),
            }
        }
        self.at += 1;
        Ok(values.into_iter().collect())
    }
}
