//! Where it is written which hubs there are.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use http::Uri;
use tunnel::dial::TlsClient;

use super::peer_addr::PeerAddr;

/// An etcd, and this hub's place in it.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Where it is.
    pub uri: DirectoryUri,
    /// Where other hubs reach this one.
    pub address: PeerAddr,
    /// TLS towards it, where that is spoken.
    pub tls: Option<TlsClient>,
    /// A file that says `user:password` on its first line, read anew each time.
    pub user_file: Option<PathBuf>,
}

/// The file with user and password is of no use.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It cannot be read.
    #[error("cannot read the directory's user file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It says something else.
    #[error("the first line of {} is not user:password", .0.display())]
    Syntax(PathBuf),
}

impl Directory {
    /// Who this hub is there, if that is asked for.
    pub(crate) fn user(&self) -> Result<Option<(String, String)>, PasswordError> {
        let Some(path) = &self.user_file else { return Ok(None) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| PasswordError::Read { path: path.clone(), source })?;
        let user = text.lines().next().and_then(|line| line.split_once(':'));
        let (name, password) = user.ok_or_else(|| PasswordError::Syntax(path.clone()))?;
        Ok(Some((name.trim().to_owned(), password.trim().to_owned())))
    }
}

/// An etcd: `etcd://host:2379,host2:2379?prefix=/grpc-hub`, or `etcds://…` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryUri {
    /// Over TLS.
    pub tls: bool,
    /// Its members, one at least: while one does not answer, the next is asked.
    pub members: Vec<PeerAddr>,
    /// What the keys of these hubs begin with.
    pub prefix: String,
}

/// A text is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a directory is etcd://host:2379,host2:2379?prefix=/grpc-hub, or etcds://… for TLS")]
pub struct DirectoryUriError;

/// What keys begin with unless something else is said.
const PREFIX: &str = "/grpc-hub";
/// Where etcd listens unless something else is said.
const PORT: u16 = 2379;

impl FromStr for DirectoryUri {
    type Err = DirectoryUriError;

    fn from_str(text: &str) -> Result<Self, DirectoryUriError> {
        let (scheme, rest) = text.split_once("://").ok_or(DirectoryUriError)?;
        let tls = match scheme {
            "etcd" => false,
            "etcds" => true,
            _ => return Err(DirectoryUriError),
        };
        let (members, query) = rest.split_once('?').unwrap_or((rest, ""));
        let members = members.trim_end_matches('/').split(',').map(member);
        let members = members.collect::<Result<_, _>>()?;
        let prefix = match query.split_once('=') {
            None if query.is_empty() => PREFIX,
            Some(("prefix", prefix)) if !prefix.is_empty() => prefix.trim_end_matches('/'),
            _ => return Err(DirectoryUriError),
        };
        Ok(Self { tls, members, prefix: prefix.to_owned() })
    }
}

fn member(text: &str) -> Result<PeerAddr, DirectoryUriError> {
    let has_port = text.parse::<Uri>().is_ok_and(|uri| uri.port().is_some());
    let text = if has_port { text.to_owned() } else { format!("{text}:{PORT}") };
    text.parse().map_err(|_| DirectoryUriError)
}

impl fmt::Display for DirectoryUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(ToString::to_string).collect();
        let scheme = if self.tls { "etcds" } else { "etcd" };
        write!(f, "{scheme}://{}?prefix={}", members.join(","), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_directories() {
        for (text, full) in [
            ("etcd://a", "etcd://a:2379?prefix=/grpc-hub"),
            ("etcds://a:1,b/", "etcds://a:1,b:2379?prefix=/grpc-hub"),
            ("etcd://[::1]:2379?prefix=/x/", "etcd://[::1]:2379?prefix=/x"),
        ] {
            assert_eq!(text.parse::<DirectoryUri>().expect(text).to_string(), full);
        }
        for text in
            ["", "etcd://", "http://a", "etcd://a,", "etcd://a?x=y", "etcd://a?prefix=", "a:2379"]
        {
            assert_eq!(text.parse::<DirectoryUri>(), Err(DirectoryUriError), "{text}");
        }
    }
}
