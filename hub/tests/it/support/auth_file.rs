//! Auth files.

use std::fmt::Write as _;
use std::path::PathBuf;

use hub::Auth;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::hub::{Hub, hub_config};

/// Agents and callers: token, name pattern, and what becomes of a name that several register. Who holds `a/1` holds `a/2`, too.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) kind: &'static str,
    pub(crate) token: &'static str,
    pub(crate) names: &'static str,
    pub(crate) ownership: &'static str,
    pub(crate) public_health: bool,
}

pub(crate) const fn agent(token: &'static str, names: &'static str) -> Entry {
    Entry { kind: "agents", token, names, ownership: "share", public_health: false }
}

pub(crate) const fn caller(token: &'static str, names: &'static str) -> Entry {
    Entry { kind: "callers", token, names, ownership: "share", public_health: false }
}

/// An agent, the health of whose names is for everybody.
pub(crate) const fn public(token: &'static str, names: &'static str) -> Entry {
    Entry { public_health: true, ..agent(token, names) }
}

/// A hub that lets nobody else in.
pub(crate) async fn guarded_hub(entries: &[Entry]) -> Hub {
    let file = AuthFile::new(entries);
    Hub::start_with(file.config()).await
}

/// A file that may change.
pub(crate) struct AuthFile {
    _folder: TempDir,
    pub(crate) path: PathBuf,
}

impl AuthFile {
    pub(crate) fn new(entries: &[Entry]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.toml");
        let file = Self { _folder: folder, path };
        file.write(entries);
        file
    }

    pub(crate) fn write(&self, entries: &[Entry]) {
        std::fs::write(&self.path, entries.iter().map(entry).collect::<String>()).unwrap();
    }

    /// Of a hub that heeds it, and reads it anew.
    pub(crate) fn config(&self) -> hub::Config {
        let auth = Auth::from_file(&self.path).expect("an auth file");
        let key_files = hub::KeyFiles { auth: Some(self.path.clone()), tls: None };
        hub::Config { keys: hub::Keys { auth, tls: None }, key_files, ..hub_config() }
    }
}

fn entry(entry: &Entry) -> String {
    let Entry { kind, token, names, ownership, public_health } = entry;
    let hash = Sha256::digest(token).iter().fold(String::new(), |mut hash, byte| {
        write!(hash, "{byte:02x}").unwrap();
        hash
    });
    let holder = token.split('/').next().expect("the first of them");
    let id = format!("holder of {holder}");
    format!(
        "[[{kind}]]\nid = '{id}'\ntoken_sha256 = '{hash}'\nnames = ['{names}']\nownership = '{ownership}'\n\
         public_health = {public_health}\n"
    )
}

/// A file with an agent's token.
pub(crate) fn token_file(token: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, token).unwrap();
    (folder, path)
}
