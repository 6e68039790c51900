//! The words of a selector.

/// A word, or the end of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    Name(&'a str),
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Not,
    GreaterThan,
    LessThan,
    Comma,
    Open,
    Close,
    End,
}

impl<'a> Token<'a> {
    /// The word as it stood in the text; nothing for the end.
    pub(super) const fn text(self) -> &'a str {
        match self {
            Self::Name(name) => name,
            Self::In => "in",
            Self::NotIn => "notin",
            Self::Equals => "=",
            Self::DoubleEquals => "==",
            Self::NotEquals => "!=",
            Self::Not => "!",
            Self::GreaterThan => ">",
            Self::LessThan => "<",
            Self::Comma => ",",
            Self::Open => "(",
            Self::Close => ")",
            Self::End => "",
        }
    }

    /// `in` and `notin` are names where no operator can stand.
    pub(super) const fn as_name(self) -> Self {
        match self {
            Self::In | Self::NotIn => Self::Name(self.text()),
            other => other,
        }
    }
}

const SYMBOLS: [Token<'static>; 9] = [
    Token::DoubleEquals,
    Token::NotEquals,
    Token::Equals,
    Token::Not,
    Token::GreaterThan,
    Token::LessThan,
    Token::Comma,
    Token::Open,
    Token::Close,
];

/// All words of the text, the end included. A NUL ends the text, as it does for Kubernetes.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut rest = text.split('\0').next().unwrap_or_default();
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let Some(token) = first(rest) else { break };
        rest = &rest[token.text().len()..];
        tokens.push(token);
    }
    tokens.push(Token::End);
    tokens
}

fn first(rest: &str) -> Option<Token<'_>> {
    if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol.text())) {
        return Some(symbol);
    }
    let end = rest.find([' ', '\t', '\r', '\n', '=', '!', '(', ')', ',', '>', '<']).unwrap_or(rest.len());
    match &rest[..end] {
        "" => None,
        "in" => Some(Token::In),
        "notin" => Some(Token::NotIn),
        name => Some(Token::Name(name)),
    }
}
