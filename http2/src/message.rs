//! Whether a message is well formed (RFC 9113 8.1 to 8.3, 8.5; RFC 9110 5.1, 5.6.2, 8.6): what is not must not be
//! passed on. The fields are looked at once, and nothing is allocated unless something is wrong.

mod bytes;
mod malformed;

use self::bytes::{AUTHORITY, NAME, PATH, SCHEME, TOKEN, all, is_value};
pub use self::malformed::Malformed;
use self::malformed::shown;
use crate::fields::{Field, Fields};

/// What the head of a request says to whom passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHead<'f> {
    /// A token.
    pub method: &'f [u8],
    /// There unless it is a plain CONNECT.
    pub scheme: Option<&'f [u8]>,
    /// Host and port. Always there with CONNECT.
    pub authority: Option<&'f [u8]>,
    /// The field `host`; the same as `authority`, in any case, where both are there.
    pub host: Option<&'f [u8]>,
    /// Path and query, or `*`. There unless it is a plain CONNECT.
    pub path: Option<&'f [u8]>,
    /// What an extended CONNECT asks for (RFC 8441 4).
    pub protocol: Option<&'f [u8]>,
    /// Bytes of the body, at most 2^63-1.
    pub content_length: Option<u64>,
}

/// What the head of a response says to whom passes it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// From 100 to 999, and not 101. Below 200 another head follows.
    pub status: u16,
    /// Bytes of the body, at most 2^63-1.
    pub content_length: Option<u64>,
}

/// Checks the head of a request (RFC 9113 8.3.1).
///
/// # Errors
/// What is wrong with it; the first thing found.
pub fn request(fields: &Fields) -> Result<RequestHead<'_>, Malformed> {
    let mut pseudo = Pseudo::default();
    let mut rest = Rest::default();
    let mut host = None;
    for field in fields.iter() {
        if is_pseudo(field.name) {
            rest.check_none_before(field)?;
            let (place, name) = match field.name {
                b":method" => (&mut pseudo.method, ":method"),
                b":scheme" => (&mut pseudo.scheme, ":scheme"),
                b":authority" => (&mut pseudo.authority, ":authority"),
                b":path" => (&mut pseudo.path, ":path"),
                b":protocol" => (&mut pseudo.protocol, ":protocol"),
                unknown => return Err(Malformed::Pseudo(shown(unknown))),
            };
            put(place, field, name)?;
        } else if field.name == b"host" {
            rest.any = true;
            put(&mut host, field, "host")?;
        } else {
            rest.field(field)?;
        }
    }
    let method = pseudo.check()?;
    if let Some(host) = host {
        check_authority(host, "host")?;
        if pseudo.authority.is_some_and(|authority| !host.eq_ignore_ascii_case(authority)) {
            return Err(Malformed::HostDiffers);
        }
    }
    let Pseudo { scheme, authority, path, protocol, .. } = pseudo;
    let content_length = rest.content_length;
    Ok(RequestHead { method, scheme, authority, host, path, protocol, content_length })
}

/// Checks the head of a response, final or not (RFC 9113 8.3.2).
///
/// # Errors
/// What is wrong with it; the first thing found.
pub fn response(fields: &Fields) -> Result<ResponseHead, Malformed> {
    let mut status = None;
    let mut rest = Rest::default();
    for field in fields.iter() {
        if is_pseudo(field.name) {
            rest.check_none_before(field)?;
            if field.name != b":status" {
                return Err(Malformed::Pseudo(shown(field.name)));
            }
            put(&mut status, field, ":status")?;
        } else {
            rest.field(field)?;
        }
    }
    let status = read_status(status.ok_or(Malformed::Missing(":status"))?)?;
    Ok(ResponseHead { status, content_length: rest.content_length })
}

/// Checks trailers, of a request or a response (RFC 9113 8.1).
///
/// # Errors
/// What is wrong with them; the first thing found.
pub fn trailers(fields: &Fields) -> Result<(), Malformed> {
    let mut rest = Rest::default();
    for field in fields.iter() {
        if is_pseudo(field.name) || matches!(field.name, b"content-length" | b"host") {
            return Err(Malformed::Trailer(shown(field.name)));
        }
        rest.field(field)?;
    }
    Ok(())
}

/// The pseudo-fields of a request.
#[derive(Default)]
struct Pseudo<'f> {
    method: Option<&'f [u8]>,
    scheme: Option<&'f [u8]>,
    authority: Option<&'f [u8]>,
    path: Option<&'f [u8]>,
    protocol: Option<&'f [u8]>,
}

impl<'f> Pseudo<'f> {
    /// Checks them against each other; returns the method.
    fn check(&self) -> Result<&'f [u8], Malformed> {
        let method = self.method.ok_or(Malformed::Missing(":method"))?;
        if method.is_empty() || !all(method, TOKEN) {
            return Err(Malformed::Method);
        }
        if let Some(authority) = self.authority {
            check_authority(authority, ":authority")?;
        }
        let connect = method == b"CONNECT";
        if connect && self.authority.is_none() {
            return Err(Malformed::Missing(":authority"));
        }
        match self.protocol {
            None if connect => self.check_plain_connect()?,
            Some(_) if !connect => return Err(Malformed::Protocol),
            _ => self.check_target(method)?,
        }
        Ok(method)
    }

    /// What CONNECT has without `:protocol` (RFC 9113 8.5).
    fn check_plain_connect(&self) -> Result<(), Malformed> {
        if self.scheme.is_some() {
            return Err(Malformed::WithConnect(":scheme"));
        }
        if self.path.is_some() {
            return Err(Malformed::WithConnect(":path"));
        }
        Ok(())
    }

    /// What all others have.
    fn check_target(&self, method: &[u8]) -> Result<(), Malformed> {
        let scheme = self.scheme.ok_or(Malformed::Missing(":scheme"))?;
        if !scheme.first().is_some_and(u8::is_ascii_alphabetic) || !all(scheme, SCHEME) {
            return Err(Malformed::Scheme);
        }
        // An empty one counts as none (RFC 9113 8.3.1).
        let path = self.path.filter(|path| !path.is_empty());
        let path = path.ok_or(Malformed::Missing(":path"))?;
        if path.first() != Some(&b'/') && !(path == b"*" && method == b"OPTIONS") {
            return Err(Malformed::Path);
        }
        if all(path, PATH) { Ok(()) } else { Err(Malformed::PathCharacter) }
    }
}

/// What is remembered of the fields that are no pseudo-fields.
#[derive(Default)]
struct Rest {
    any: bool,
    content_length: Option<u64>,
}

impl Rest {
    /// Checks any field but `host`, which says something only in requests.
    #[inline]
    fn field(&mut self, field: Field<'_>) -> Result<(), Malformed> {
        let Field { name, value, .. } = field;
        self.any = true;
        if name.is_empty() || !all(name, NAME) {
            return Err(Malformed::Name(shown(name)));
        }
        check_value(field)?;
        match name {
            b"connection" => Err(Malformed::Connection("connection")),
            b"keep-alive" => Err(Malformed::Connection("keep-alive")),
            b"proxy-connection" => Err(Malformed::Connection("proxy-connection")),
            b"transfer-encoding" => Err(Malformed::Connection("transfer-encoding")),
            b"upgrade" => Err(Malformed::Connection("upgrade")),
            b"te" if value != b"trailers" => Err(Malformed::Te),
            b"content-length" => self.content_length(value),
            _ => Ok(()),
        }
    }

    /// Several that say the same are refused, too: who passes a message on would have to make one of them (RFC 9110 8.6).
    fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let length = read_length(value).ok_or(Malformed::ContentLength)?;
        match self.content_length.replace(length) {
            Some(_) => Err(Malformed::Repeated("content-length")),
            None => Ok(()),
        }
    }

    /// A pseudo-field may only come before all others (RFC 9113 8.3).
    fn check_none_before(&self, pseudo: Field<'_>) -> Result<(), Malformed> {
        if self.any { Err(Malformed::Late(shown(pseudo.name))) } else { Ok(()) }
    }
}

#[inline]
fn is_pseudo(name: &[u8]) -> bool {
    name.first() == Some(&b':')
}

/// Puts a value that there is once at most where it belongs.
#[inline]
fn put<'f>(
    place: &mut Option<&'f [u8]>,
    field: Field<'f>,
    name: &'static str,
) -> Result<(), Malformed> {
    check_value(field)?;
    match place.replace(field.value) {
        Some(_) => Err(Malformed::Repeated(name)),
        None => Ok(()),
    }
}

#[inline]
fn check_value(field: Field<'_>) -> Result<(), Malformed> {
    if is_value(field.value) { Ok(()) } else { Err(Malformed::Value(shown(field.name))) }
}

fn check_authority(value: &[u8], name: &'static str) -> Result<(), Malformed> {
    if value.is_empty() {
        return Err(Malformed::Empty(name));
    }
    if all(value, AUTHORITY) { Ok(()) } else { Err(Malformed::Authority(name)) }
}

fn read_status(value: &[u8]) -> Result<u16, Malformed> {
    let status = match value {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
            value.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
        }
        _ => return Err(Malformed::Status),
    };
    if status == 101 { Err(Malformed::Status) } else { Ok(status) }
}

/// Returns the number of bytes that a `content-length` says; `None` if it is none, or beyond 63 bits.
fn read_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let length = value.iter().try_fold(0_i64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    });
    length.and_then(|length| u64::try_from(length).ok())
}

#[cfg(test)]
mod tests;
