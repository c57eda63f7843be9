//! Takes `host:port` apart.

use std::net::Ipv6Addr;

use http::uri::Authority;

/// The host, IPv6 without brackets, and the port where one is said. `None` if that is no port, or if
/// brackets stand around anything else or elsewhere, all of which [`Authority`] itself lets pass.
#[must_use]
pub fn host_and_port(authority: &Authority) -> Option<(String, Option<u16>)> {
    let host = authority.host();
    let port = match authority.as_str().strip_prefix(host)? {
        "" => None,
        rest => Some(rest.strip_prefix(':')?.parse().ok()?),
    };
    let host = match host.strip_prefix('[') {
        Some(ipv6) => ipv6.strip_suffix(']').filter(|ipv6| is_ipv6(ipv6))?,
        None => host,
    };
    if host.contains(['[', ']']) { None } else { Some((host.to_owned(), port)) }
}

/// Whether `text` is an IPv6 address, of an interface where it says one: `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let in_zone = |char: char| char.is_ascii_alphanumeric() || "-._~".contains(char);
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty() && zone.chars().all(in_zone)
}
