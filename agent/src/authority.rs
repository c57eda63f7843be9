//! Takes `host:port` apart.

use http::uri::Authority;

/// The host, IPv6 without brackets, and the port where one is said; `None` if that is no port, which
/// [`Authority`] itself lets pass.
pub(crate) fn host_and_port(authority: &Authority) -> Option<(String, Option<u16>)> {
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host)? {
        "" => None,
        rest => Some(rest.strip_prefix(':')?.parse().ok()?),
    };
    Some((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
}
