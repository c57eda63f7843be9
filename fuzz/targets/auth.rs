//! Auth files: a bad one is refused in one line; a good one lets in whom it names, and nobody else.
//!
//! Input: a first line `PATTERN NAME TOKEN`, then an auth file.
#![no_main]

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{Seek as _, Write as _};

use hub::{Auth, AuthFileError, Denied};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use tunnel::name::Name;

thread_local! {
    /// In memory where that is possible: twenty times as fast.
    static FILE: RefCell<NamedTempFile> = RefCell::new(
        NamedTempFile::new_in("/dev/shm").or_else(|_| NamedTempFile::new()).expect("a file"),
    );
}

fuzz_target!(|text: &str| {
    let (first, file) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = first.splitn(3, ' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    let (pattern, name, token) = (word(), word().parse::<Name>(), word());
    arbitrary_file(file, name.as_ref().ok(), &token);
    if let Ok(name) = name {
        one_entry(&pattern, &name, &token);
    }
});

/// Whatever the file says, a token opens the door only if its hash stands in it.
fn arbitrary_file(content: &str, name: Option<&Name>, token: &str) {
    let auth = match load(content) {
        Ok(auth) => auth,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "more than one line: {error}");
            return;
        }
    };
    assert_eq!(auth.caller(None).err(), Some(Denied::NoToken));
    // An escape in the file may hide it.
    let is_listed = content.contains('\\') || content.to_ascii_lowercase().contains(&hash(token));
    let caller = auth.caller(Some(token.as_bytes()));
    assert!(is_listed || caller.is_err(), "a stranger's token is good");
    let Some(name) = name else { return };
    assert_eq!(auth.agent(None, name).err(), Some(Denied::NoToken));
    let agent = auth.agent(Some(token.as_bytes()), name);
    assert!(is_listed || agent.err() == Some(Denied::UnknownToken), "a stranger's token is good");
}

/// A file with one pattern lets its holder use the names that match it.
fn one_entry(pattern: &str, name: &Name, token: &str) {
    let entry = format!("id = 'a'\ntoken_sha256 = '{}'\nnames = [{pattern:?}]\n", hash(token));
    let Ok(auth) = load(&format!("[[agents]]\n{entry}[[callers]]\n{entry}")) else {
        return;
    };
    let should = matches(pattern.as_bytes(), name.as_str().as_bytes());
    let caller = auth.caller(Some(token.as_bytes())).expect("its token is listed");
    assert_eq!(caller.may_call(name), should, "{pattern} {name}");
    assert_eq!(auth.agent(Some(token.as_bytes()), name).is_ok(), should, "{pattern} {name}");
}

/// The same by definition: `*` is any run of characters. Which beginnings of the name the pattern so far
/// can match is all there is to know.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for &p in pattern {
        if p == b'*' {
            let first = reached.iter().position(|&is| is).unwrap_or(reached.len());
            reached[first..].fill(true);
        } else {
            for at in (0..name.len()).rev() {
                reached[at + 1] = reached[at] && name[at] == p;
            }
            reached[0] = false;
        }
    }
    reached[name.len()]
}

fn load(content: &str) -> Result<Auth, AuthFileError> {
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).expect("emptied");
        file.rewind().expect("rewound");
        file.write_all(content.as_bytes()).expect("written");
        Auth::from_file(file.path())
    })
}

fn hash(token: &str) -> String {
    let mut hex = String::new();
    for byte in Sha256::digest(token) {
        write!(hex, "{byte:02x}").expect("a string takes all");
    }
    hex
}
