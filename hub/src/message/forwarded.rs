//! Whom a trusted proxy speaks for: `Forwarded` (RFC 7239) and `X-Forwarded-For`.
//!
//! A proxy appends whom it has heard from, so all that stands to the left of what a trusted one has written may be made up.

use std::net::{IpAddr, SocketAddr};

use crate::config::networks::Networks;

/// The two header fields, by the names that HTTP/2 gives them.
pub(crate) const FORWARDED: &str = "forwarded";
pub(crate) const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Whoever is behind `peer`: the right-most address that is no trusted proxy's, by the values of `Forwarded` and of
/// `X-Forwarded-For` in their order. `None`, if the peer is not trusted or says nothing of it.
///
/// A proxy that writes one of the two passes the other on as it came. So where both are there, they must say the same: a
/// caller who makes one up is known by the proxy's own address, and by nobody else's.
pub(crate) fn behind<'v>(
    peer: IpAddr,
    trusted: &Networks,
    forwarded: impl Iterator<Item = &'v [u8]>,
    x_forwarded_for: impl Iterator<Item = &'v [u8]>,
) -> Option<IpAddr> {
    if !trusted.have(peer) {
        return None;
    }
    let said: [Vec<Option<IpAddr>>; 2] =
        [forwarded.flat_map(of_forwarded).collect(), x_forwarded_for.flat_map(of_x).collect()];
    let [one, other] = said.map(|hops| furthest(trusted, &hops));
    match (one, other) {
        (Some(one), Some(other)) if one == other => one,
        (Some(one), None) => one,
        (None, Some(other)) => other,
        _ => None,
    }
}

/// The first from the right that is not trusted, or the last that can be read. `None`, if there are no hops at all.
fn furthest(trusted: &Networks, hops: &[Option<IpAddr>]) -> Option<Option<IpAddr>> {
    let mut last = None;
    for hop in hops.iter().rev() {
        match hop {
            Some(hop) if trusted.have(*hop) => last = Some(*hop),
            Some(hop) => return Some(Some(*hop)),
            // Hidden, or none: whoever was before it is not known.
            None => return Some(last),
        }
    }
    (!hops.is_empty()).then_some(last)
}

/// The hops of one value of `X-Forwarded-For`; `None` for each that is no address.
fn of_x(value: &[u8]) -> Vec<Option<IpAddr>> {
    value.split(|byte| *byte == b',').map(|hop| address(&String::from_utf8_lossy(hop))).collect()
}

/// The same of `Forwarded`: elements are separated by commas, their pairs by semicolons, and a value may be quoted.
fn of_forwarded(value: &[u8]) -> Vec<Option<IpAddr>> {
    let mut hops = vec![None];
    let (mut pair, mut is_quoted) = (Vec::new(), false);
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\\' if is_quoted => pair.extend(bytes.next()),
            b';' | b',' if !is_quoted => {
                note(&mut hops, &pair);
                pair.clear();
                if byte == b',' {
                    hops.push(None);
                }
            }
            _ => pair.push(byte),
        }
    }
    if is_quoted {
        // Where it should have ended, nobody knows.
        return vec![None];
    }
    note(&mut hops, &pair);
    hops
}

/// Notes a pair of the last hop, if it is the one that says who that is.
fn note(hops: &mut [Option<IpAddr>], pair: &[u8]) {
    let pair = String::from_utf8_lossy(pair);
    if let Some((name, node)) = pair.split_once('=')
        && name.trim().eq_ignore_ascii_case("for")
        && let Some(hop) = hops.last_mut()
    {
        *hop = address(node);
    }
}

/// `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80`, `[2001:db8::1]`, and as some write it, `2001:db8::1`.
fn address(node: &str) -> Option<IpAddr> {
    let node = node.trim();
    let bare = node.strip_prefix('[').and_then(|node| node.strip_suffix(']')).unwrap_or(node);
    let with_port = || Some(node.parse::<SocketAddr>().ok()?.ip());
    Some(bare.parse().ok().or_else(with_port)?.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(peer: &str, forwarded: &[&str], x: &[&str]) -> Option<String> {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("a network"));
        let trusted = trusted.into_iter().collect();
        let [forwarded, x] =
            [forwarded, x].map(|values| values.iter().map(|value| value.as_bytes()));
        let told = behind(peer.parse().expect("an address"), &trusted, forwarded, x);
        told.map(|address| address.to_string())
    }

    #[test]
    fn the_right_most_that_is_not_trusted() {
        for (values, is) in [
            (&["192.0.2.1"][..], Some("192.0.2.1")),
            (&["198.51.100.9, 192.0.2.1"], Some("192.0.2.1")),
            (&["198.51.100.9", "192.0.2.1,10.1.1.1"], Some("192.0.2.1")),
            (&["192.0.2.1:4711"], Some("192.0.2.1")),
            (&["2001:db8::1"], Some("2001:db8::1")),
            (&["[2001:db8::1]:80"], Some("2001:db8::1")),
            (&["::ffff:192.0.2.1"], Some("192.0.2.1")),
            (&["10.2.2.2, 10.1.1.1"], Some("10.2.2.2")),
            (&["192.0.2.1, unknown, 10.1.1.1"], Some("10.1.1.1")),
            (&["192.0.2.1, unknown"], None),
            (&["192.0.2.1,"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(told("10.0.0.1", &[], values).as_deref(), is, "{values:?}");
        }
    }

    #[test]
    fn and_so_in_forwarded() {
        for (values, is) in [
            (&["for=192.0.2.1"][..], Some("192.0.2.1")),
            (&["For=\"[2001:db8::1]:4711\""], Some("2001:db8::1")),
            (&["for=192.0.2.43;proto=https;by=203.0.113.43, for=10.1.1.1"], Some("192.0.2.43")),
            (&["for=198.51.100.9", "proto=http; for=\"192.0.2.1:80\""], Some("192.0.2.1")),
            (&["for=\"a,for=198.51.100.9\";x=\"\\\"\", for=192.0.2.1"], Some("192.0.2.1")),
            (&["for=192.0.2.1, for=_hidden"], None),
            (&["for=192.0.2.1, proto=http"], None),
            (&["for=192.0.2.1, for=\"10.0.0.9"], None),
            (&["192.0.2.1"], None),
        ] {
            assert_eq!(told("10.0.0.1", values, &[]).as_deref(), is, "{values:?}");
        }
    }

    #[test]
    fn nobody_else_is_believed() {
        assert_eq!(told("192.0.2.9", &[], &["192.0.2.1"]), None);
        // Of the two a proxy writes one, and a caller may write the other.
        assert_eq!(told("10.0.0.1", &["for=192.0.2.9"], &["192.0.2.1"]), None);
        let both = told("10.0.0.1", &["for=192.0.2.1"], &["192.0.2.1"]);
        assert_eq!(both.as_deref(), Some("192.0.2.1"));
    }
}
