//! Who may register which names, and who may call them.
//!
//! Tokens are high-entropy secrets, so the file holds their plain SHA-256, and finding a token is a
//! look-up by hash: how long it takes tells nothing about the tokens that exist.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tunnel::name::Name;

pub use super::auth_file::{AuthFileError, Ownership};
use super::auth_file::{File, FileEntry};
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
    /// Names whose health is for everybody.
    public_health: Vec<Pattern>,
    /// Names that agents may register, as far as they are spelled out.
    spelled_out: HashSet<Name>,
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
        let File { agents: entries, callers } = File::read(path)?;
        let index = |entries| index(entries).map_err(|why| AuthFileError::invalid(path, why));
        let (agents, callers) = (index(&entries)?, index(&callers)?);
        let public = entries.iter().filter(|entry| entry.public_health);
        let public_health = public.flat_map(|entry| &entry.names).cloned().collect();
        let spelled_out = entries.iter().flat_map(|entry| &entry.names);
        let spelled_out = spelled_out.filter_map(Pattern::name).collect();
        Ok(Self::Tokens(Arc::new(Tokens { agents, callers, public_health, spelled_out })))
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

    /// Whether anybody may ask how `name` is, without a token.
    pub(crate) fn has_public_health(&self, name: &Name) -> bool {
        match self {
            Self::Open => true,
            Self::Tokens(tokens) => matches(&tokens.public_health, name),
        }
    }

    /// Whether an agent is known to be meant to have `name`, for that is spelled out.
    pub(crate) fn spells_out(&self, name: &Name) -> bool {
        matches!(self, Self::Tokens(tokens) if tokens.spelled_out.contains(name))
    }

    /// All names of which that is so.
    pub(crate) fn all_spelled_out(&self) -> impl Iterator<Item = &Name> {
        let tokens = match self {
            Self::Open => None,
            Self::Tokens(tokens) => Some(tokens),
        };
        tokens.into_iter().flat_map(|tokens| &tokens.spelled_out)
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
        matches(&self.0.names, name)
    }
}

fn matches(patterns: &[Pattern], name: &Name) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name.as_str()))
}

/// Somebody who calls. Nobody in particular when the hub is open, or where another hub asks.
#[derive(Clone, Debug)]
pub struct Caller(Option<Holder>);

impl Caller {
    #[cfg(test)]
    pub(crate) fn of(holder: Holder) -> Self {
        Self(Some(holder))
    }

    /// Whoever it is, who may see everything.
    pub(crate) fn anybody() -> Self {
        Self(None)
    }

    /// Whether it may call `name`, and see that it exists.
    #[must_use]
    pub fn may_call(&self, name: &Name) -> bool {
        self.0.as_ref().is_none_or(|holder| holder.may_use(name))
    }

    /// Whether it may call every name, and so see what is about none.
    pub(crate) fn may_call_all(&self) -> bool {
        self.0.as_ref().is_none_or(|holder| holder.0.names.iter().any(Pattern::is_all))
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

/// By the hash of their tokens.
fn index(entries: &[FileEntry]) -> Result<HashMap<Hash, Holder>, String> {
    let mut holders = HashMap::new();
    for FileEntry { id, token_sha256, names, ownership, .. } in entries {
        let (token, id, names) = (token_sha256.0, id.clone(), names.clone());
        let holder = Holder(Arc::new(Entry { token, id, names, ownership: *ownership }));
        if let Some(other) = holders.insert(token, holder.clone()) {
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
    fn what_is_known_of_names_without_a_token() {
        let agent = |token: &str, names: &str, more: &str| {
            format!("[[agents]]\nid = 'a'\ntoken_sha256 = '{token}'\nnames = {names}\n{more}\n")
        };
        let other = SECRET.replace('2', "3");
        let file = agent(SECRET, "['seen-*', 'spelled-1']", "public_health = true")
            + &agent(&other, "['spelled-2', 'hidden-*', '-*', '-x']", "");
        let auth = auth(&file).expect("an auth file");
        let of = |to: &str| (auth.has_public_health(&name(to)), auth.spells_out(&name(to)));
        assert_eq!(of("seen-1"), (true, false));
        assert_eq!(of("spelled-1"), (true, true));
        assert_eq!(of("spelled-2"), (false, true));
        assert_eq!(of("hidden-1"), (false, false));
        assert!(Auth::Open.has_public_health(&name("a")) && !Auth::Open.spells_out(&name("a")));
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
                    "[[callers]]\nid='a'\ntoken_sha256='{SECRET}'\nnames=['a']\npublic_health=true\n"
                ),
                "is a caller",
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
