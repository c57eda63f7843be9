//! Fields that the upgrade carries for whoever is in front of the hub: a gate that wants credentials of its own.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// One field, written `name: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubHeader {
    name: HeaderName,
    value: HeaderValue,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HubHeaderError {
    /// No name, no colon, or characters that cannot stand in a field.
    #[error("a header is NAME: VALUE")]
    Syntax,
    /// The upgrade has it already.
    #[error("{0} is the agent's own to say")]
    Own(HeaderName),
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct HubHeaders {
    /// As they were typed.
    pub typed: Vec<HubHeader>,
    /// A file with one a line, read anew for each dial. Empty lines and those that begin with `#` do not count.
    pub file: Option<PathBuf>,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HubHeadersError {
    /// It is not to be had.
    #[error("cannot read the headers file {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A line of it is no header.
    #[error("the headers file {}, line {line}: {error}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong with it.
        error: HubHeaderError,
    },
}

impl FromStr for HubHeader {
    type Err = HubHeaderError;

    fn from_str(text: &str) -> Result<Self, HubHeaderError> {
        let (name, value) = text.split_once(':').ok_or(HubHeaderError::Syntax)?;
        let name: HeaderName = name.trim().parse().map_err(|_| HubHeaderError::Syntax)?;
        let mut value = HeaderValue::from_str(value.trim()).map_err(|_| HubHeaderError::Syntax)?;
        // It may be a password.
        value.set_sensitive(true);
        if is_own(&name) { Err(HubHeaderError::Own(name)) } else { Ok(Self { name, value }) }
    }
}

fn is_own(name: &HeaderName) -> bool {
    let hop = [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];
    let prefixes = ["hub-", "sec-websocket-"];
    hop.contains(name) || prefixes.iter().any(|prefix| name.as_str().starts_with(prefix))
}

impl HubHeaders {
    /// What is typed, and what the file says now.
    ///
    /// # Errors
    /// The file cannot be used, and is told.
    pub fn read(&self) -> Result<HeaderMap, HubHeadersError> {
        let mut headers = HeaderMap::new();
        let in_file = self.file.as_ref().map(read).transpose()?.unwrap_or_default();
        for HubHeader { name, value } in self.typed.iter().cloned().chain(in_file) {
            headers.append(name, value);
        }
        Ok(headers)
    }
}

fn read(path: &PathBuf) -> Result<Vec<HubHeader>, HubHeadersError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| HubHeadersError::Read { path: path.clone(), error })?;
    let lines = text.lines().map(str::trim).enumerate();
    let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let parse = |(number, line): (usize, &str)| {
        let wrong = |error| HubHeadersError::Line { path: path.clone(), line: number + 1, error };
        line.parse().map_err(wrong)
    };
    said.map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value_that_nobody_else_says() {
        let header: HubHeader = "CF-Access-Client-Id: abc.access ".parse().expect("a header");
        assert_eq!(
            (header.name.as_str(), header.value.as_bytes()),
            ("cf-access-client-id", &b"abc.access"[..])
        );
        assert!(!format!("{header:?}").contains("abc"), "{header:?}");
        for text in ["", "name", ": value", "na me: value", "name: va\nlue"] {
            assert_eq!(text.parse::<HubHeader>(), Err(HubHeaderError::Syntax), "{text}");
        }
        for text in ["Hub-Token: a", "host: b", "Upgrade: c", "Sec-WebSocket-Key: d"] {
            text.parse::<HubHeader>().expect_err("the agent's own");
        }
    }

    #[test]
    fn the_file_is_read_each_time() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("headers");
        let typed = vec!["a: typed".parse().expect("a header")];
        let headers = HubHeaders { typed, file: Some(path.clone()) };
        headers.read().expect_err("it is not there");
        std::fs::write(&path, "# a gate\n\nB: one\nb: two\n").expect("written");
        let read = headers.read().expect("headers");
        let values: Vec<_> = read.get_all("b").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!((read["a"].as_bytes(), values), (&b"typed"[..], vec![&b"one"[..], b"two"]));
        std::fs::write(&path, "B: one\nhost: me\n").expect("written");
        let told = headers.read().expect_err("no header").to_string();
        assert!(told.contains("line 2: host is the agent's own"), "{told}");
    }
}
