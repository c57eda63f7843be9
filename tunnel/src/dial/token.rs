//! The credential that a dial shows, in a file.

use std::io;
use std::path::{Path, PathBuf};

use http::HeaderValue;

/// It is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It has what cannot stand in a header.
    #[error("the token in {} cannot stand in a header", .0.display())]
    Bytes(PathBuf),
}

/// What a file says, but for the space around it. To be read anew for each dial, so that a new token needs no restart.
///
/// # Errors
/// The file cannot be read, or has what cannot stand in a header.
pub fn read_token(path: &Path) -> Result<HeaderValue, TokenError> {
    let token = std::fs::read_to_string(path)
        .map_err(|source| TokenError::Read { path: path.into(), source })?;
    let token = HeaderValue::from_str(token.trim());
    let mut token = token.map_err(|_| TokenError::Bytes(path.into()))?;
    token.set_sensitive(true);
    Ok(token)
}
