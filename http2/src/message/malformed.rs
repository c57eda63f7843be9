//! What is wrong with a message that is malformed (RFC 9113 8.1.1).

/// Why a message must not be passed on. Servers on nghttp2 reset such a stream, and Node.js ends its connection after a
/// thousand of them, which is everybody's session.
///
/// The words name the field, as it came where that is not one of HTTP's: cut, and with what is not printable escaped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A pseudo-field that must be there (RFC 9113 8.3.1, 8.3.2, 8.5).
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field of which there is one at most (RFC 9113 8.3, RFC 9110 7.2), or that has several values (8.6).
    #[error("`{0}` is given more than once")]
    Repeated(&'static str),
    /// A pseudo-field that is not defined for this direction (RFC 9113 8.3).
    #[error("`{0}` is no pseudo-field of this message")]
    Pseudo(Box<str>),
    /// A pseudo-field after one that is none (RFC 9113 8.3).
    #[error("`{0}` comes after other fields")]
    Late(Box<str>),
    /// RFC 9113 8.2.1, RFC 9110 5.6.2.
    #[error("`{0}` is no name of a field")]
    Name(Box<str>),
    /// NUL, CR or LF, or a space or tab at either end (RFC 9113 8.2.1).
    #[error("`{0}` has a value that no field may have")]
    Value(Box<str>),
    /// What one hop says to the next in other versions of HTTP (RFC 9113 8.2.2).
    #[error("`{0}` is a field of a connection")]
    Connection(&'static str),
    /// RFC 9113 8.2.2.
    #[error("`te` is not `trailers`")]
    Te,
    /// Digits are missing, or it is beyond 63 bits, in which servers count (RFC 9110 8.6).
    #[error("`content-length` is no number of bytes")]
    ContentLength,
    /// RFC 9110 9.1.
    #[error("`:method` is no token")]
    Method,
    /// RFC 3986 3.1.
    #[error("`:scheme` is no scheme")]
    Scheme,
    /// RFC 9113 8.3.1.
    #[error("`:path` does not begin with `/`; `*` is for OPTIONS")]
    Path,
    /// A space, a control character, or a fragment (RFC 9113 8.3.1, RFC 3986 3.3).
    #[error("`:path` has a character that no path may have")]
    PathCharacter,
    /// `:authority` or `host` (RFC 9113 8.3.1).
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// `:authority` or `host` with user information, or what else is no host and port (RFC 9113 8.3.1, RFC 3986 3.2).
    #[error("`{0}` is no host and port")]
    Authority(&'static str),
    /// The server might go by either (RFC 9113 8.3.1).
    #[error("`host` is not the same as `:authority`")]
    HostDiffers,
    /// RFC 9113 8.5.
    #[error("`{0}` is given with CONNECT")]
    WithConnect(&'static str),
    /// RFC 8441 4.
    #[error("`:protocol` is given without CONNECT")]
    Protocol,
    /// Not of three digits from 100 on, or 101, which HTTP/2 does not have (RFC 9113 8.3.2, 8.6).
    #[error("`:status` is no status")]
    Status,
    /// A pseudo-field (RFC 9113 8.1), or one that says how to read or where to send what has gone before (RFC 9110
    /// 6.5.1).
    #[error("`{0}` is given as a trailer")]
    Trailer(Box<str>),
}

/// So much of a name is shown, in bytes as they came.
const SHOWN: usize = 64;

/// Returns the name as it can be shown to anybody.
#[cold]
pub(super) fn shown(name: &[u8]) -> Box<str> {
    name[..name.len().min(SHOWN)].escape_ascii().to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_safely() {
        assert_eq!(&*shown(b"x-a"), "x-a");
        assert_eq!(&*shown(b"a\r\n\xff`"), "a\\r\\n\\xff`");
        assert_eq!(shown(&[b'a'; 100]).len(), SHOWN);
        let malformed = Malformed::Name(shown(b"X"));
        assert_eq!(malformed.to_string(), "`X` is no name of a field");
    }
}
