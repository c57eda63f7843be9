//! Who may register which names, and who may call them.
//!
//! Tokens are high-entropy secrets, so the file holds their plain SHA-256, and finding a token is a
//! look-up by hash: how long it takes tells nothing about the tokens that exist.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tunnel::name::Name;

use super::pattern::Pattern;

/// The hub's doors.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    /// Whoever reaches the port may register any name and call any name.
    #[default]
    Open,
    /// Only who holds a token.
    Tokens(Arc<Tokens>),
}

/// The tokens that are good for something, by their hash.
#[derive(Debug)]
pub struct Tokens {
    agents: HashMap<Hash, Holder>,
    callers: HashMap<Hash, Holder>,
}

type Hash = [u8; 32];

/// Who holds a token, and what it is good for.
#[derive(Clone, Debug)]
pub struct Holder(Arc<Entry>);

#[derive(Debug)]
struct Entry {
    token: Hash,
    id: String,
    names: Vec<Pattern>,
    ownership: Ownership,
}

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

/// Why a token does not open the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There is no token.
    NoToken,
    /// Nobody holds this token.
    UnknownToken,
    /// The token is not good for this name.
    Name,
}

impl Auth {
    /// Reads an auth file.
    ///
    /// # Errors
    /// Says which file, and for bad content which line.
    pub fn from_file(path: &Path) -> Result<Self, AuthFileError> {
        let content = std::fs::read_to_string(path)
            .map_err(|source| AuthFileError::Read { path: path.into(), source })?;
        let invalid = |reason| AuthFileError::Invalid { path: path.into(), reason };
        let file: File =
            toml::from_str(&content).map_err(|error| invalid(in_line(&content, &error)))?;
        let agents = index(file.agents).map_err(invalid)?;
        let callers = index(file.callers).map_err(invalid)?;
        Ok(Self::Tokens(Arc::new(Tokens { agents, callers })))
    }

    /// Whether no token opens it: nobody may register, and nobody may call.
    pub(crate) fn is_shut(&self) -> bool {
        matches!(self, Self::Tokens(tokens) if tokens.agents.is_empty() && tokens.callers.is_empty())
    }

    /// Whether an agent with `token` may register `name`. An open hub does not know who it is.
    ///
    /// # Errors
    /// It may not.
    pub fn agent(&self, token: Option<&[u8]>, name: &Name) -> Result<Option<Holder>, Denied> {
        let Self::Tokens(tokens) = self else {
            return Ok(None);
        };
        let holder = find(&tokens.agents, token)?;
        holder.check(name)?;
        Ok(Some(holder))
    }

    /// Whether an agent that was let in as `holder` may still be there under this name.
    ///
    /// # Errors
    /// It may not: the file has changed.
    pub(crate) fn check_agent(&self, holder: Option<&Holder>, name: &Name) -> Result<(), Denied> {
        let (Self::Tokens(tokens), Some(holder)) = (self, holder) else {
            return Ok(());
        };
        tokens.agents.get(&holder.0.token).ok_or(Denied::UnknownToken)?.check(name)
    }

    /// What a caller that was let in may do now.
    ///
    /// # Errors
    /// Nothing: the file has changed, and has its token no more.
    pub(crate) fn caller_now(&self, caller: &Caller) -> Result<Caller, Denied> {
        let (Self::Tokens(tokens), Some(holder)) = (self, &caller.0) else {
            return Ok(caller.clone());
        };
        let holder = tokens.callers.get(&holder.0.token).ok_or(Denied::UnknownToken)?;
        Ok(Caller(Some(holder.clone())))
    }

    /// Who a caller with `token` is. An open hub does not know, and lets everybody call everything.
    ///
    /// # Errors
    /// Whoever it is holds no token of a caller.
    pub fn caller(&self, token: Option<&[u8]>) -> Result<Caller, Denied> {
        match self {
            Self::Open => Ok(Caller(None)),
            Self::Tokens(tokens) => find(&tokens.callers, token).map(|holder| Caller(Some(holder))),
        }
    }
}

impl Holder {
    /// Of an agent that another hub has let in, by its own auth file.
    pub(crate) fn elsewhere(id: String, ownership: Ownership) -> Self {
        Self(Arc::new(Entry { token: Hash::default(), id, names: Vec::new(), ownership }))
    }

    /// What the auth file calls it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// What becomes of a name that it registers, and others too.
    #[must_use]
    pub fn ownership(&self) -> Ownership {
        self.0.ownership
    }

    fn check(&self, name: &Name) -> Result<(), Denied> {
        if self.may_use(name) { Ok(()) } else { Err(Denied::Name) }
    }

    fn may_use(&self, name: &Name) -> bool {
        self.0.names.iter().any(|pattern| pattern.matches(name.as_str()))
    }
}

/// Somebody who calls. Nobody in particular when the hub is open, or where another hub asks.
#[derive(Clone, Debug)]
pub struct Caller(Option<Holder>);

impl Caller {
    /// Whoever it is, who may see everything.
    pub(crate) fn anybody() -> Self {
        Self(None)
    }

    /// Whether it may call `name`, and see that it exists.
    #[must_use]
    pub fn may_call(&self, name: &Name) -> bool {
        self.0.as_ref().is_none_or(|holder| holder.may_use(name))
    }

    /// What the auth file calls it.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.0.as_ref().map(Holder::id)
    }

    /// Whether another may call and see the same.
    pub(crate) fn may_as_much_as(&self, other: &Self) -> bool {
        fn names(Caller(holder): &Caller) -> Option<&[Pattern]> {
            holder.as_ref().map(|holder| &*holder.0.names)
        }
        names(self) == names(other)
    }
}

fn find(holders: &HashMap<Hash, Holder>, token: Option<&[u8]>) -> Result<Holder, Denied> {
    let token = token.ok_or(Denied::NoToken)?;
    let hash: Hash = Sha256::digest(token).into();
    holders.get(&hash).cloned().ok_or(Denied::UnknownToken)
}

// === the file ===

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    agents: Vec<FileEntry>,
    #[serde(default)]
    callers: Vec<FileEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    id: String,
    token_sha256: HexHash,
    names: Vec<Pattern>,
    #[serde(default)]
    ownership: Ownership,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
struct HexHash(Hash);

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

fn index(entries: Vec<FileEntry>) -> Result<HashMap<Hash, Holder>, String> {
    let mut holders = HashMap::new();
    for FileEntry { id, token_sha256, names, ownership } in entries {
        let holder = Holder(Arc::new(Entry { token: token_sha256.0, id, names, ownership }));
        if let Some(other) = holders.insert(token_sha256.0, holder.clone()) {
            return Err(format!("{:?} and {:?} have the same token", other.id(), holder.id()));
        }
    }
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// SHA-256 of `secret`, by `printf %s secret | sha256sum`.
    const SECRET: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn auth(content: &str) -> Result<Auth, AuthFileError> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(content.as_bytes()).expect("written");
        Auth::from_file(file.path())
    }

    fn name(text: &str) -> Name {
        text.parse().expect("a name")
    }

    #[test]
    fn a_token_is_good_for_the_names_of_its_entry() {
        let file = format!(
            "[[agents]]\nid = 'berlin'\ntoken_sha256 = '{SECRET}'\nnames = ['berlin-*', 'b']\n\
             [[callers]]\nid = 'ops'\ntoken_sha256 = '{SECRET}'\nnames = ['*']\n"
        );
        let auth = auth(&file).expect("an auth file");
        let agent = |token, to: &str| auth.agent(token, &name(to)).map(|_| ());
        assert_eq!(agent(Some(b"secret"), "berlin-1"), Ok(()));
        assert_eq!(agent(Some(b"secret"), "b"), Ok(()));
        assert_eq!(agent(Some(b"secret"), "paris-1"), Err(Denied::Name));
        assert_eq!(agent(Some(b"Secret"), "berlin-1"), Err(Denied::UnknownToken));
        assert_eq!(agent(None, "berlin-1"), Err(Denied::NoToken));
        let caller = auth.caller(Some(b"secret")).expect("a caller");
        assert!(caller.may_call(&name("paris-1")));
        assert_eq!(caller.id(), Some("ops"));
        assert_eq!(auth.caller(None).map(|_| ()), Err(Denied::NoToken));
    }

    #[test]
    fn an_open_hub_lets_everybody_in() {
        assert!(Auth::Open.agent(None, &name("a")).is_ok_and(|holder| holder.is_none()));
        assert!(!Auth::Open.is_shut());
        assert!(auth("").expect("an auth file").is_shut());
        assert!(Auth::Open.caller(None).is_ok_and(|caller| caller.may_call(&name("a"))));
    }

    #[test]
    fn bad_files_say_where_and_why() {
        for (content, why) in [
            ("[[agents]]\nid = 'a'\n", "token_sha256"),
            ("[[agents]]\nid = 'a'\ntoken_sha256 = 'secret'\nnames = ['a']\n", "64 hexadecimal"),
            (&format!("[[agents]]\nid='a'\ntoken_sha256='{SECRET}'\nnames=['A*']\n"), "'A'"),
            (
                &format!("[[agents]]\nid='a'\ntoken_sha256='{SECRET}'\nname=['a']\n"),
                "unknown field",
            ),
            (
                &format!(
                    "{0}{0}",
                    format_args!("[[callers]]\nid='a'\ntoken_sha256='{SECRET}'\nnames=[]\n")
                ),
                "same token",
            ),
        ] {
            let error = auth(content).expect_err(content).to_string();
            assert!(error.contains(why), "{error}");
        }
        let missing = Auth::from_file(Path::new("/nowhere/auth.toml")).expect_err("missing");
        assert!(missing.to_string().contains("/nowhere/auth.toml"), "{missing}");
    }
}
