//! Pages from where may call through browsers.

/// Their origins, as `--cors-origin` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Of everywhere.
    Any,
    /// Of these alone.
    These(Vec<String>),
}

impl CorsOrigins {
    /// Of a command line; `None`, if it says none.
    pub(crate) fn of(origins: &[CorsOrigin]) -> Option<Self> {
        if origins.contains(&CorsOrigin::Any) {
            return Some(Self::Any);
        }
        let these: Vec<_> = origins.iter().filter_map(CorsOrigin::one).collect();
        (!these.is_empty()).then_some(Self::These(these))
    }
}

/// One of them, as it is typed: `https://app.example.com`, or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorsOrigin {
    /// `*`
    Any,
    /// As browsers write it: in lower case, without the port that goes without saying.
    One(String),
}

/// A text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is https://app.example.com, with a port if it has one and without a path; or * for all"
)]
pub struct CorsOriginError;

impl CorsOrigin {
    fn one(&self) -> Option<String> {
        match self {
            Self::Any => None,
            Self::One(origin) => Some(origin.clone()),
        }
    }
}

impl std::str::FromStr for CorsOrigin {
    type Err = CorsOriginError;

    fn from_str(text: &str) -> Result<Self, CorsOriginError> {
        let text = text.trim().to_ascii_lowercase();
        match &*text {
            "*" => return Ok(Self::Any),
            // What pages from files, and those in sandboxes, are from.
            "null" => return Ok(Self::One(text)),
            _ => {}
        }
        let (scheme, host) = text.split_once("://").ok_or(CorsOriginError)?;
        let uri = host.parse::<http::uri::Authority>().map_err(|_| CorsOriginError)?;
        let is_scheme = !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        if !is_scheme || uri.as_str().contains('@') || uri.host().is_empty() {
            return Err(CorsOriginError);
        }
        let default = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port = uri.port_u16().filter(|port| Some(*port) != default);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self::One(format!("{scheme}://{}{port}", uri.host())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for (text, origin) in [
            ("https://app.example.com", "https://app.example.com"),
            ("HTTPS://App.example.com:443", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("null", "null"),
            ("chrome-extension://abc", "chrome-extension://abc"),
        ] {
            assert_eq!(text.parse(), Ok(CorsOrigin::One(origin.into())), "{text}");
        }
        for text in
            ["", "app.example.com", "https://", "https://app.test/", "https://a@app.test", "://x"]
        {
            assert_eq!(text.parse::<CorsOrigin>(), Err(CorsOriginError), "{text}");
        }
        let all = ["https://app.test", "*"].map(|text| text.parse().expect("an origin"));
        assert_eq!(CorsOrigins::of(&all), Some(CorsOrigins::Any));
        assert_eq!(CorsOrigins::of(&[]), None);
    }
}
