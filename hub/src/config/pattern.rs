//! Which names a token is good for.

use serde::Deserialize;
use tunnel::name::Name;

/// A name in which `*` stands for any run of characters.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern(String);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-*".contains(c);
        match text.chars().find(|&c| !known(c)) {
            None if text.is_empty() => Err("a name pattern must not be empty".into()),
            None => Ok(Self(text)),
            Some(stranger) => Err(format!("no name matches {text:?}: names have no {stranger:?}")),
        }
    }
}

impl Pattern {
    /// Whether all names match it.
    pub(super) fn is_all(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// The one name that it is, if it is one.
    pub(super) fn name(&self) -> Option<Name> {
        // No name has a star.
        self.0.parse().ok()
    }

    /// Whether it stands for this name, too.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            // The earliest match leaves most for the parts to come.
            let Some(at) = rest.find(part) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, yes, no) in [
            ("a", "a", "ab"),
            ("*", "anything", ""),
            ("a*", "abc", "bac"),
            ("*c", "abc", "abcd"),
            ("a*c", "ac", "a"),
            ("a*b*c", "a-b-b-c", "a-c-b"),
            ("a*a", "aa", "a"),
            ("ab*ba", "abba", "aba"),
        ] {
            let pattern = Pattern::try_from(pattern.to_owned()).expect("a pattern");
            assert!(pattern.matches(yes), "{pattern:?} {yes}");
            assert!(!pattern.matches(no) || no.is_empty(), "{pattern:?} {no}");
        }
    }
}
