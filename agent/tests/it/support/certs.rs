//! Certificates made for one test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A self-signed certificate, which vouches for itself, and its key: PEM files.
pub(crate) struct Certs {
    dir: TempDir,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certs {
    /// Makes them.
    pub(crate) fn new() -> Self {
        Self::for_hosts(&["localhost", "127.0.0.1"])
    }

    /// The same, for other hosts.
    pub(crate) fn for_hosts(hosts: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let names: Vec<_> = hosts.iter().map(|&host| host.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let cert = write(dir.path(), "cert.pem", &made.cert.pem());
        let key = write(dir.path(), "key.pem", &made.signing_key.serialize_pem());
        Self { dir, cert, key }
    }

    /// Another file in the same directory.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        write(self.dir.path(), name, content)
    }

    /// The flags with which a hub serves it.
    pub(crate) fn hub_flags(&self) -> [&str; 5] {
        ["--tls", "--tls-cert-file", text(&self.cert), "--tls-key-file", text(&self.key)]
    }

    /// The flags with which an agent trusts it.
    pub(crate) fn agent_flags(&self) -> [&str; 2] {
        ["--tls-ca-file", text(&self.cert)]
    }

    /// The flags with which it trusts an upstream that serves it.
    pub(crate) fn upstream_flags(&self) -> [&str; 2] {
        ["--upstream-tls-ca-file", text(&self.cert)]
    }
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn write(dir: &Path, name: &str, content: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, content).unwrap();
    path
}
