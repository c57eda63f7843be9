//! What this hub does with others: where they are, and how each shows that it is one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use sha2::{Digest, Sha256};
use tunnel::dial::{TlsClient, TokenError, read_token};
use tunnel::hub_uri::HubUri;
use tunnel::tls::{Identity, TlsError, Trust, client_config_of, mutual_server_config};

use super::directory::Directory;
use super::peer_addr::PeerAddr;

/// What this hub does with others. Nothing, by default.
#[derive(Clone, Debug, Default)]
pub struct Peering {
    /// Where others listen. This hub itself may be among them.
    pub peers: Vec<PeerAddr>,
    /// What all of them show, which nobody else knows: what this file says, read anew each time.
    pub token_file: Option<PathBuf>,
    /// TLS in both directions; plain TCP without.
    pub tls: Option<PeerTls>,
    /// Where it is written which others there are, beside `peers`.
    pub directory: Option<Directory>,
    /// Where agents reach this hub.
    pub public_uri: Option<HubUri>,
}

/// TLS between hubs: each shows a certificate of one authority.
#[derive(Clone, Debug)]
pub struct PeerTls {
    /// To those that dial this one.
    pub server: Arc<rustls::ServerConfig>,
    /// To those that this one dials.
    pub client: TlsClient,
}

impl PeerTls {
    /// From PEM files: certificate chain, its key, and the authority of all hubs.
    ///
    /// # Errors
    /// Names the file that cannot be read or does not fit.
    pub fn from_files(cert: &Path, key: &Path, ca: &Path) -> Result<Self, TlsError> {
        let alpn: &[&[u8]] = &[b"http/1.1"];
        let identity = Identity { cert: cert.into(), key: key.into() };
        let trust = Trust::CaFile(ca.into());
        let config = client_config_of(Some(&identity), &trust, alpn)?;
        let client = TlsClient { config, trust, server_name: None, ca_flag: "--peer-tls-ca-file" };
        Ok(Self { server: mutual_server_config(cert, key, ca, alpn)?, client })
    }
}

impl Peering {
    /// Whether there are to be others.
    pub(crate) fn has_others(&self) -> bool {
        !self.peers.is_empty() || self.directory.is_some()
    }

    /// What this hub shows others, if they want anything.
    pub(crate) fn token(&self) -> Result<Option<HeaderValue>, TokenError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let token = read_token(path)?;
        // An empty one would let everybody in who shows that.
        if token.is_empty() { Err(TokenError::Bytes(path.clone())) } else { Ok(Some(token)) }
    }

    /// What all hubs know that have this token, and nobody else: by it they tell callers apart in the same way. What is made
    /// with it is for hubs alone: by it, others could try tokens until one fits.
    pub(crate) fn source_key(&self) -> Option<[u8; 32]> {
        let token = self.token().ok()??;
        Some(Sha256::new_with_prefix("sources of lanes").chain_update(token).finalize().into())
    }

    /// Whether another hub has shown it. How long that takes tells nothing of it: only hashes are compared.
    pub(crate) fn is_token(&self, shown: Option<&[u8]>) -> Result<bool, TokenError> {
        let Some(wanted) = self.token()? else { return Ok(true) };
        let hash = |token: &[u8]| Sha256::digest(token);
        Ok(shown.is_some_and(|shown| hash(shown) == hash(wanted.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn only_who_shows_the_token_is_another_hub() {
        assert!(Peering::default().is_token(None).expect("none is wanted"));
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let token_file = Some(file.path().to_owned());
        let peering = Peering { token_file, ..Peering::default() };
        peering.is_token(Some(b"")).expect_err("there is none");
        writeln!(file, "secret").expect("written");
        let is = |token: Option<&str>| peering.is_token(token.map(str::as_bytes)).expect("known");
        assert!(is(Some("secret")));
        assert_ne!(peering.source_key(), None);
        assert!(!is(None) && !is(Some("")) && !is(Some("Secret")));
    }

    #[test]
    fn hubs_with_one_token_have_one_source_key() {
        let key = |token: &str| {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            writeln!(file, "{token}").expect("written");
            let token_file = Some(file.path().to_owned());
            Peering { token_file, ..Peering::default() }.source_key()
        };
        assert!(key("secret").is_some());
        assert_eq!(key("secret"), key("secret"));
        assert_ne!(key("secret"), key("Secret"));
        assert_eq!(Peering::default().source_key(), None);
        assert_eq!(key(""), None);
    }
}
