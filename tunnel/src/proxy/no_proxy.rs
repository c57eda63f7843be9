//! `NO_PROXY`: what is reached without a proxy. There is no standard; each program reads it in its own way. This is what curl,
//! Go and Python have in common, and ports.

use std::net::IpAddr;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

/// Whether a comma-separated list has this host and port: names, which stand for what is below them as well, addresses and
/// networks (`10.0.0.0/8`), with a port or for all of them, and `*` for everything. This machine itself always is.
pub(super) fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    is_this_machine(host) || list.split(',').any(|entry| is_it(entry.trim(), host, port))
}

fn is_this_machine(host: &str) -> bool {
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(is_loopback)
}

fn is_it(entry: &str, host: &str, port: u16) -> bool {
    let (name, only) = split(entry);
    if name.is_empty() || only.is_some_and(|only| only != port) {
        return false;
    }
    // The library's `*` means all names, and no address.
    name == "*" || !is_intercepted(name, host)
}

/// Whether the library would go through a proxy where `name` alone is excepted.
fn is_intercepted(name: &str, host: &str) -> bool {
    let authority = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let Ok(uri) = format!("https://{authority}").parse::<Uri>() else {
        return true;
    };
    let name = name.strip_prefix("*.").unwrap_or(name);
    let proxy = "http://any";
    Matcher::builder().all(proxy).no(name).build().intercept(&uri).is_some()
}

/// A name or an address, and its port if it has one. An IPv6 address has colons of its own: with a port it stands in brackets.
fn split(entry: &str) -> (&str, Option<u16>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (address, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match entry.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (entry, None),
        },
        _ => (entry, None),
    }
}
