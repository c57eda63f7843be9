//! Takes the hub's own headers off what passes through it.

use http::HeaderMap;
use tunnel::wire::HUB_PREFIX;

/// Off heads and trailers of clients and of upstreams: nobody else is to see a client's `hub-token`, and nobody makes
/// up a `hub-reason`.
pub(crate) fn strip(headers: &mut HeaderMap) {
    let own: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with(HUB_PREFIX)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn strips_the_hubs_own_and_nothing_else() {
        let headers = ["hub-token", "hub-made-up", "hub-reason", "hubert", "name"];
        let headers =
            headers.map(|name| (name.parse().expect("a name"), HeaderValue::from_static("x")));
        let mut headers = HeaderMap::from_iter(headers);
        strip(&mut headers);
        assert_eq!(headers.len(), 2);
        assert!(headers.contains_key("hubert") && headers.contains_key("name"));
    }
}
