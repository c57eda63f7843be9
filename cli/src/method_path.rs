//! How a user names a method.

use std::fmt;
use std::str::FromStr;

/// `SERVICE/METHOD`, `/SERVICE/METHOD` or `SERVICE.METHOD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MethodPath {
    pub(crate) service: String,
    pub(crate) method: String,
}

impl FromStr for MethodPath {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let parts = text.split_once('/').or_else(|| text.rsplit_once('.'));
        match parts {
            Some((service, method))
                if !service.is_empty() && !method.is_empty() && !method.contains('/') =>
            {
                Ok(Self { service: service.into(), method: method.into() })
            }
            _ => Err("must be SERVICE/METHOD"),
        }
    }
}

impl fmt::Display for MethodPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.service, self.method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_named_in_three_ways() {
        for text in ["a.b.S/M", "/a.b.S/M", "a.b.S.M"] {
            let path: MethodPath = text.parse().unwrap();
            assert_eq!(path.to_string(), "a.b.S/M");
        }
        for bad in ["", "M", "/", "S/", "/M", "a/b/c", ".M", "S."] {
            assert!(bad.parse::<MethodPath>().is_err(), "{bad}");
        }
    }
}
