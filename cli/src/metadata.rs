//! What goes with a call besides its messages: whom it is for, the caller's token, `-H`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use tonic::metadata::{
    AsciiMetadataKey, AsciiMetadataValue, BinaryMetadataKey, BinaryMetadataValue, MetadataMap,
};
use tunnel::wire;

/// gRPC sends `-bin` values without padding, people copy them with it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One `-H key:value`.
#[derive(Clone, Debug)]
pub(crate) enum Header {
    Ascii(AsciiMetadataKey, AsciiMetadataValue),
    Binary(BinaryMetadataKey, BinaryMetadataValue),
}

/// Whom a command addresses.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// The hub itself: the call carries no name.
    Hub,
    /// The server behind the agent of this name. Whether it is a valid name is for the hub to say.
    Agent(AsciiMetadataValue),
}

/// Why `--token-file` is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("cannot read the token file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it holds is no token.
    #[error("the token file {} must hold one line of printable ASCII", .0.display())]
    Unusable(PathBuf),
}

/// The metadata of every call that a command makes.
///
/// # Errors
/// The token file is of no use.
pub(crate) fn assemble(
    target: &Target,
    headers: impl IntoIterator<Item = Header>,
    token_file: Option<&Path>,
) -> Result<MetadataMap, TokenError> {
    let mut metadata = MetadataMap::new();
    for header in headers {
        match header {
            Header::Ascii(key, value) => _ = metadata.append(key, value),
            Header::Binary(key, value) => _ = metadata.append_bin(key, value),
        }
    }
    if let Target::Agent(name) = target {
        metadata.insert(wire::NAME, name.clone());
    }
    if let Some(path) = token_file {
        metadata.insert(wire::HUB_TOKEN, token(path)?);
    }
    Ok(metadata)
}

fn token(path: &Path) -> Result<AsciiMetadataValue, TokenError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| TokenError::Read { path: path.into(), source })?;
    let unusable = || TokenError::Unusable(path.into());
    let text = text.trim_end_matches(['\r', '\n']);
    let mut token = ascii(text).filter(|token| !token.is_empty()).ok_or_else(unusable)?;
    token.set_sensitive(true);
    Ok(token)
}

/// Text as a metadata value. Bytes above ASCII may stand there, too, but servers do not agree on what
/// they mean.
fn ascii(text: &str) -> Option<AsciiMetadataValue> {
    text.is_ascii().then(|| text.parse().ok())?
}

// === impl Header ===

impl FromStr for Header {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = text.split_once(':').ok_or("no `:` after the key")?;
        let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
        if key == wire::NAME {
            return Err("the name is no header here, but the argument NAME of the command".into());
        }
        let bad_key = |_| format!("`{key}` is no metadata key");
        if key.ends_with("-bin") {
            let bytes = LENIENT
                .decode(value)
                .map_err(|error| format!("the value of a -bin key must be base64: {error}"))?;
            let key = BinaryMetadataKey::from_bytes(key.as_bytes()).map_err(bad_key)?;
            return Ok(Self::Binary(key, BinaryMetadataValue::from_bytes(&bytes)));
        }
        let value =
            ascii(value).ok_or("the value must be printable ASCII; others need a -bin key")?;
        let key = AsciiMetadataKey::from_bytes(key.as_bytes()).map_err(bad_key)?;
        Ok(Self::Ascii(key, value))
    }
}

// === impl Target ===

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-" => Ok(Self::Hub),
            "" => Err("a name has at least one character"),
            name => ascii(name).map(Self::Agent).ok_or("a name is printable ASCII"),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hub => f.write_str("the hub"),
            Self::Agent(name) => f.write_str(name.to_str().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(headers: &[&str], target: &str) -> MetadataMap {
        let headers: Vec<Header> = headers.iter().map(|text| text.parse().unwrap()).collect();
        assemble(&target.parse().unwrap(), headers, None).unwrap()
    }

    #[test]
    fn a_header_has_a_key_and_a_value() {
        let metadata = sent(&["X-One: 1", "x-one:2:3", "raw-bin:AAH/", "pad-bin:AA=="], "-");
        let all: Vec<_> = metadata.get_all("x-one").iter().collect();
        assert_eq!(all, ["1", "2:3"]);
        let bytes = |key| metadata.get_bin(key).unwrap().to_bytes().unwrap();
        assert_eq!(bytes("raw-bin")[..], [0, 1, 255]);
        assert_eq!(bytes("pad-bin")[..], [0]);
        for bad in ["no-colon", ":x", "sp ace:x", "x:\u{e4}", "x-bin:%"] {
            assert!(bad.parse::<Header>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_sets_the_name() {
        assert!(sent(&[], "-").get("name").is_none());
        let metadata = sent(&[], "testserver");
        let all: Vec<_> = metadata.get_all("name").iter().collect();
        assert_eq!(all, ["testserver"]);
        let error = "Name:other".parse::<Header>().unwrap_err();
        assert!(error.contains("NAME"), "{error}");
    }

    #[test]
    fn a_token_is_one_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret\r\n").unwrap();
        let value = token(file.path()).unwrap();
        assert_eq!(value, "s3cret");
        assert!(value.is_sensitive());
        for bad in ["", "\n", "two\nlines\n"] {
            std::fs::write(file.path(), bad).unwrap();
            assert!(matches!(token(file.path()), Err(TokenError::Unusable(_))), "{bad:?}");
        }
    }
}
