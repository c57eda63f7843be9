//! Takes the hub's own headers off what passes through it.

use http::HeaderMap;
use tunnel::wire::{HUB_PREFIX, HUB_REASON};

/// Off what a client sends: nobody else is to see its `hub-token`, or to believe what it made up.
pub(crate) fn strip_request(headers: &mut HeaderMap) {
    let own: Vec<_> =
        headers.keys().filter(|name| name.as_str().starts_with(HUB_PREFIX)).cloned().collect();
    for name in own {
        headers.remove(name);
    }
}

/// Off what an upstream answers: `hub-reason` means that the hub answered.
pub(crate) fn strip_response(headers: &mut HeaderMap) {
    headers.remove(HUB_REASON);
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
        let mut request = HeaderMap::from_iter(headers.clone());
        strip_request(&mut request);
        assert_eq!(request.len(), 2);
        assert!(request.contains_key("hubert") && request.contains_key("name"));
        let mut response = HeaderMap::from_iter(headers);
        strip_response(&mut response);
        assert_eq!(response.len(), 4);
    }
}
