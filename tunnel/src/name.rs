//! The name under which an agent registers and a client asks for it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::limits::NAME_MAX_BYTES;

/// A valid name: 1 to 128 of `a-z 0-9 . _ -`, first and last a letter or a digit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no characters.
    #[error("a name must not be empty")]
    Empty,
    /// It has more than 128 characters.
    #[error("a name has at most {NAME_MAX_BYTES} characters, this one has {0}")]
    TooLong(usize),
    /// It has a character that no name has.
    #[error("a name consists of a-z 0-9 . _ - only, this one has {0:?}")]
    Character(char),
    /// Its first or last character joins nothing.
    #[error("a name starts and ends with a letter or a digit")]
    Edge,
}

impl Name {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_MAX_BYTES {
            return Err(NameError::TooLong(text.chars().count()));
        }
        if let Some(stranger) = text.chars().find(|&c| !plain(c) && !".-_".contains(c)) {
            return Err(NameError::Character(stranger));
        }
        if !text.starts_with(plain) || !text.ends_with(plain) {
            return Err(NameError::Edge);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "0", "testserver", "site-1.berlin_2", &"x".repeat(128)] {
            assert_eq!(good.parse::<Name>().map(|name| name.to_string()).as_deref(), Ok(good));
        }
        for (bad, why) in [
            ("", NameError::Empty),
            (&*"x".repeat(129), NameError::TooLong(129)),
            ("Test", NameError::Character('T')),
            ("a b", NameError::Character(' ')),
            ("tür", NameError::Character('ü')),
            ("a/b", NameError::Character('/')),
            ("-a", NameError::Edge),
            ("a.", NameError::Edge),
            ("_", NameError::Edge),
        ] {
            assert_eq!(bad.parse::<Name>(), Err(why), "{bad:?}");
        }
    }
}
