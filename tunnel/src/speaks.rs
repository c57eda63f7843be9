//! What an upstream speaks beside gRPC. Calls in what it does not, the hub puts in other words.

use std::str::FromStr;

/// A protocol that gRPC's callers in browsers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebProtocol {
    /// gRPC-Web, binary and text.
    GrpcWeb,
    /// Connect, unary and streaming.
    Connect,
}

/// A word is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must be grpc-web or connect")]
pub struct WebProtocolError;

impl WebProtocol {
    const ALL: [Self; 2] = [Self::GrpcWeb, Self::Connect];

    fn word(self) -> &'static str {
        match self {
            Self::GrpcWeb => "grpc-web",
            Self::Connect => "connect",
        }
    }
}

impl FromStr for WebProtocol {
    type Err = WebProtocolError;

    fn from_str(text: &str) -> Result<Self, WebProtocolError> {
        let found = Self::ALL.into_iter().find(|one| one.word() == text.trim());
        found.ok_or(WebProtocolError)
    }
}

/// Which of them an upstream speaks itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Speaks([bool; 2]);

impl Speaks {
    /// Whether this is one of them.
    #[must_use]
    pub fn has(self, protocol: WebProtocol) -> bool {
        self.0[protocol as usize]
    }

    /// As a header says it. Words that are not known are passed over: a newer agent may know more.
    #[must_use]
    pub fn from_header(text: &str) -> Self {
        text.split(',').filter_map(|word| word.parse().ok()).collect()
    }

    /// The header; `None`, if there is nothing to say.
    #[must_use]
    pub fn to_header(self) -> Option<String> {
        let words = WebProtocol::ALL.into_iter().filter(|one| self.has(*one));
        let words: Vec<_> = words.map(WebProtocol::word).collect();
        (!words.is_empty()).then(|| words.join(","))
    }
}

impl FromIterator<WebProtocol> for Speaks {
    fn from_iter<I: IntoIterator<Item = WebProtocol>>(protocols: I) -> Self {
        let mut speaks = Self::default();
        for protocol in protocols {
            speaks.0[protocol as usize] = true;
        }
        speaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_it() {
        let both: Speaks = WebProtocol::ALL.into_iter().collect();
        assert_eq!(both.to_header().as_deref(), Some("grpc-web,connect"));
        assert_eq!(Speaks::from_header("connect, grpc-web, rest"), both);
        let one = Speaks::from_header("connect");
        assert!(one.has(WebProtocol::Connect) && !one.has(WebProtocol::GrpcWeb));
        assert_eq!(Speaks::from_header("").to_header(), None);
        assert_eq!("rest".parse::<WebProtocol>(), Err(WebProtocolError));
    }
}
