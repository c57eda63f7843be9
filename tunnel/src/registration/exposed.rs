//! What an agent exposes under one of its names.
//!
//! Of several names, each of these headers is a list with `;` between its parts, one for each name and in the same order: a
//! hub that knows of no lists finds no name in it, and says so.

use http::HeaderMap;
use http::uri::{Authority, Scheme};

use super::{RegistrationError, single};
use crate::limits::{HEADER_MAX_BYTES, NAMES_MAX};
use crate::name::Name;
use crate::speaks::Speaks;
use crate::wire;

/// Between the parts of a list. No comma: whatever is in between may put one there.
const BETWEEN: &str = ";";

/// A name, and what is behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed {
    /// What clients call it.
    pub name: Name,
    /// What the upstream's own transport is; the hub sets `:scheme` to it.
    pub scheme: Scheme,
    /// Replaces `:authority`, for an upstream that routes by host.
    pub authority: Option<Authority>,
    /// What the upstream speaks beside gRPC.
    pub speaks: Speaks,
}

impl Exposed {
    /// A server that speaks gRPC without TLS, and takes any `:authority`.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self { name, scheme: Scheme::HTTP, authority: None, speaks: Speaks::default() }
    }
}

/// The first one, and the others.
pub(super) fn read(headers: &HeaderMap) -> Result<(Exposed, Vec<Exposed>), RegistrationError> {
    let names = single(headers, wire::HUB_NAME)?.filter(|names| !names.is_empty());
    let names = names.ok_or(RegistrationError::Missing(wire::HUB_NAME))?;
    let names: Vec<_> = names.split(BETWEEN).collect();
    check_lengths(wire::HUB_NAME, &names)?;
    let names: Vec<Name> = names.into_iter().map(str::parse).collect::<Result<_, _>>()?;
    check_names(&names)?;
    let part = |header| parts(headers, header, names.len());
    let (schemes, authorities, speaks) = (
        part(wire::HUB_UPSTREAM_SCHEME)?,
        part(wire::HUB_AUTHORITY)?,
        part(wire::HUB_UPSTREAM_SPEAKS)?,
    );
    let said = schemes.into_iter().zip(authorities).zip(speaks);
    let mut exposed = names.into_iter().zip(said).map(|(name, ((scheme, authority), speaks))| {
        let (scheme, authority) = (scheme_of(scheme)?, authority_of(authority)?);
        Ok::<_, RegistrationError>(Exposed {
            name,
            scheme,
            authority,
            speaks: Speaks::from_header(speaks),
        })
    });
    let first = exposed.next().ok_or(RegistrationError::Missing(wire::HUB_NAME))??;
    Ok((first, exposed.collect::<Result<_, _>>()?))
}

/// The first name of a request, whatever is wrong with the rest of it.
#[must_use]
pub fn first_name(headers: &HeaderMap) -> Option<Name> {
    let names = headers.get(wire::HUB_NAME)?.to_str().ok()?;
    names.split(BETWEEN).next()?.trim().parse().ok()
}

/// One for each of so many names; empty where nothing is said.
fn parts<'h>(
    headers: &'h HeaderMap,
    header: &'static str,
    names: usize,
) -> Result<Vec<&'h str>, RegistrationError> {
    let parts: Vec<_> = match single(headers, header)? {
        None => vec![""; names],
        // An authority may have a `;` of its own.
        Some(text) if names == 1 => vec![text],
        Some(text) => text.split(BETWEEN).collect(),
    };
    check_lengths(header, &parts)?;
    if parts.len() == names { Ok(parts) } else { Err(RegistrationError::Parts(header)) }
}

fn check_lengths(header: &'static str, parts: &[&str]) -> Result<(), RegistrationError> {
    let is_long = parts.iter().any(|part| part.len() > HEADER_MAX_BYTES);
    if is_long { Err(RegistrationError::Text(header)) } else { Ok(()) }
}

/// Whether an agent may have these names: not more than [`NAMES_MAX`], and none twice.
///
/// # Errors
/// [`RegistrationError::Names`], [`RegistrationError::Twice`].
pub fn check_names(names: &[Name]) -> Result<(), RegistrationError> {
    if names.len() > NAMES_MAX {
        return Err(RegistrationError::Names);
    }
    let mut each = names.iter().enumerate();
    match each.find(|(at, name)| names[..*at].contains(name)) {
        Some((_, twice)) => Err(RegistrationError::Twice(twice.clone())),
        None => Ok(()),
    }
}

/// Writes the headers with `set`.
pub(super) fn write(
    exposed: &[&Exposed],
    mut set: impl FnMut(&'static str, &str) -> Result<(), RegistrationError>,
) -> Result<(), RegistrationError> {
    check_names(&exposed.iter().map(|one| one.name.clone()).collect::<Vec<_>>())?;
    let mut list = |header, part: fn(&Exposed) -> String| {
        let parts: Vec<_> = exposed.iter().map(|one| part(one)).collect();
        match &parts[..] {
            parts if parts.iter().all(String::is_empty) => Ok(()),
            [alone] => set(header, alone),
            parts if parts.iter().any(|part| part.contains(BETWEEN)) => {
                Err(RegistrationError::Separator(header))
            }
            parts => set(header, &parts.join(BETWEEN)),
        }
    };
    list(wire::HUB_NAME, |one| one.name.to_string())?;
    list(wire::HUB_UPSTREAM_SCHEME, |one| one.scheme.to_string())?;
    list(wire::HUB_AUTHORITY, |one| {
        one.authority.as_ref().map_or_else(String::new, ToString::to_string)
    })?;
    list(wire::HUB_UPSTREAM_SPEAKS, |one| one.speaks.to_header().unwrap_or_default())
}

fn scheme_of(text: &str) -> Result<Scheme, RegistrationError> {
    match text {
        "" | "http" => Ok(Scheme::HTTP),
        "https" => Ok(Scheme::HTTPS),
        _ => Err(RegistrationError::Scheme),
    }
}

fn authority_of(text: &str) -> Result<Option<Authority>, RegistrationError> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| RegistrationError::Authority)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn name(name: &str) -> Name {
        name.parse().expect("a name")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text| HeaderValue::from_str(text).expect("a header value");
        pairs
            .iter()
            .map(|(header, text)| (http::HeaderName::from_static(header), value(text)))
            .collect()
    }

    fn survives(exposed: &[Exposed]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let all: Vec<_> = exposed.iter().collect();
        write(&all, |header, text| {
            headers.insert(header, HeaderValue::from_str(text).expect("a header value"));
            Ok(())
        })
        .expect("headers");
        let (first, others) = read(&headers).expect("what was written");
        assert_eq!([vec![first], others].concat(), exposed);
        headers
    }

    #[test]
    fn several_survive_the_wire() {
        let plain = Exposed::new(name("a"));
        let authority = Some(Authority::from_static("inner.example:443"));
        let tls = Exposed { scheme: Scheme::HTTPS, authority, ..Exposed::new(name("b")) };
        let web =
            Exposed { speaks: Speaks::from_header("connect,grpc-web"), ..Exposed::new(name("c")) };
        let headers = survives(&[plain.clone(), tls, web]);
        for (header, text) in [
            (wire::HUB_NAME, "a;b;c"),
            (wire::HUB_UPSTREAM_SCHEME, "http;https;http"),
            (wire::HUB_AUTHORITY, ";inner.example:443;"),
            (wire::HUB_UPSTREAM_SPEAKS, ";;grpc-web,connect"),
        ] {
            assert_eq!(headers[header], text);
        }
        // One alone is as it always was.
        let semicolon = Some(Authority::from_static("a;b"));
        let headers = survives(&[Exposed { authority: semicolon.clone(), ..plain.clone() }]);
        assert_eq!(headers[wire::HUB_AUTHORITY], "a;b");
        let both = [&Exposed { authority: semicolon, ..plain }, &Exposed::new(name("b"))];
        let error = write(&both, |_, _| Ok(())).expect_err("no list can say it");
        assert_eq!(error, RegistrationError::Separator(wire::HUB_AUTHORITY));
        let twice = [&Exposed::new(name("b")), &Exposed::new(name("b"))];
        let error = write(&twice, |_, _| Ok(())).expect_err("no agent may say it");
        assert_eq!(error, RegistrationError::Twice(name("b")));
    }

    #[test]
    fn says_what_is_wrong_with_a_list() {
        let many: Vec<_> = (0..=NAMES_MAX).map(|n| n.to_string()).collect();
        for (names, more, wrong) in [
            ("a;b;a", None, RegistrationError::Twice(name("a"))),
            (&many.join(";"), None, RegistrationError::Names),
            (
                "a;b",
                Some((wire::HUB_UPSTREAM_SCHEME, "http")),
                RegistrationError::Parts(wire::HUB_UPSTREAM_SCHEME),
            ),
            (
                "a;b",
                Some((wire::HUB_AUTHORITY, ";;x")),
                RegistrationError::Parts(wire::HUB_AUTHORITY),
            ),
            ("a;b", Some((wire::HUB_UPSTREAM_SCHEME, "http;ftp")), RegistrationError::Scheme),
        ] {
            let all: Vec<_> = [(wire::HUB_NAME, names)].into_iter().chain(more).collect();
            assert_eq!(read(&headers(&all)), Err(wrong), "{all:?}");
        }
        for empty in ["a;", ";a", "a;;b"] {
            let read = read(&headers(&[(wire::HUB_NAME, empty)]));
            assert!(matches!(read, Err(RegistrationError::Name(_))), "{empty}");
        }
    }

    #[test]
    fn the_first_name_is_known_whatever_else_is_wrong() {
        let first = |names: &str| first_name(&headers(&[(wire::HUB_NAME, names)]));
        assert_eq!(first("one"), Some(name("one")));
        assert_eq!(first(" one ;two;two"), Some(name("one")));
        assert_eq!(first(";one"), None);
        assert_eq!(first_name(&HeaderMap::new()), None);
    }
}
