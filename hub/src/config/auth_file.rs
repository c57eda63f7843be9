//! The auth file, as it is written.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::pattern::Pattern;

/// What becomes of a name that several agents register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ownership {
    /// All of them serve it, by turns.
    #[default]
    Share,
    /// The first has it for as long as it lives; others are refused.
    Exclusive,
    /// The latest has it; who had it before is sent away.
    Takeover,
    /// The first has it; the next one takes its place once it is gone, or its server is.
    Standby,
}

/// Why an auth file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthFileError {
    /// It cannot be read.
    #[error("cannot read the auth file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It does not say what an auth file says.
    #[error("cannot use the auth file {}: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
}

/// What it says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) agents: Vec<FileEntry>,
    #[serde(default)]
    pub(super) callers: Vec<FileEntry>,
}

/// Of an agent, or of a caller.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileEntry {
    pub(super) id: String,
    pub(super) token_sha256: HexHash,
    pub(super) names: Vec<Pattern>,
    #[serde(default)]
    pub(super) ownership: Ownership,
    /// Of an agent's names: whether their health is for everybody.
    #[serde(default)]
    pub(super) public_health: bool,
}

impl File {
    /// Reads one.
    pub(super) fn read(path: &Path) -> Result<Self, AuthFileError> {
        let content = std::fs::read_to_string(path)
            .map_err(|source| AuthFileError::Read { path: path.into(), source })?;
        let file: Self = toml::from_str(&content)
            .map_err(|error| AuthFileError::invalid(path, in_line(&content, &error)))?;
        match file.callers.iter().find(|caller| caller.public_health) {
            None => Ok(file),
            Some(FileEntry { id, .. }) => {
                let reason = format!("{id:?} is a caller: public_health is of an agent's names");
                Err(AuthFileError::invalid(path, reason))
            }
        }
    }
}

impl AuthFileError {
    /// It says something else.
    pub(super) fn invalid(path: &Path, reason: String) -> Self {
        Self::Invalid { path: path.into(), reason }
    }
}

/// 32 bytes, written as 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct HexHash(pub(super) [u8; 32]);

impl TryFrom<String> for HexHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "token_sha256 is the SHA-256 of a token: 64 hexadecimal digits";
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
            return Err(WRONG);
        };
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(WRONG)
    }
}

/// toml's own text is a picture of six lines.
fn in_line(content: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    match error.span() {
        Some(span) => {
            let before = content.as_bytes().iter().take(span.start);
            let line = 1 + before.filter(|&&byte| byte == b'\n').count();
            format!("line {line}: {message}")
        }
        None => message,
    }
}
