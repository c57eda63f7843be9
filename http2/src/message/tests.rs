//! What is well formed, and what is not.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::fields::Indexing;

type List<'l> = &'l [(&'l str, &'l str)];

const GET: List<'static> = &[(":method", "GET"), (":scheme", "https"), (":path", "/a.B/C")];

fn fields(lists: &[List<'_>]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in lists.iter().copied().flatten() {
        fields.push(name.as_bytes(), value.as_bytes(), Indexing::Incremental);
    }
    fields
}

/// Looks at a GET with these fields added.
fn get(more: List<'_>) -> Result<(), Malformed> {
    request(&fields(&[GET, more])).map(|_| ())
}

/// Looks at a request with this method and path.
fn target(method: &str, path: &str) -> Result<(), Malformed> {
    request(&fields(&[&[(":method", method), (":scheme", "http"), (":path", path)]])).map(|_| ())
}

fn status(fields_of: List<'_>) -> Result<u16, Malformed> {
    response(&fields(&[fields_of])).map(|head| head.status)
}

#[test]
fn a_request_is_read() {
    let more: List<'_> = &[
        (":authority", "Hub.test:443"),
        ("content-type", "application/grpc"),
        ("host", "hub.TEST:443"),
        ("te", "trailers"),
        ("content-length", "5"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("x", ""),
    ];
    let head = RequestHead {
        method: b"GET",
        scheme: Some(b"https"),
        authority: Some(b"Hub.test:443"),
        host: Some(b"hub.TEST:443"),
        path: Some(b"/a.B/C"),
        protocol: None,
        content_length: Some(5),
    };
    assert_eq!(request(&fields(&[GET, more])), Ok(head));
    assert_eq!(get(&[]), Ok(()));
}

#[test]
fn what_a_request_lacks() {
    for missing in [":method", ":scheme", ":path"] {
        let left: Vec<_> = GET.iter().copied().filter(|(name, _)| *name != missing).collect();
        assert_eq!(request(&fields(&[&left])), Err(Malformed::Missing(missing)));
    }
    assert_eq!(Malformed::Missing(":path").to_string(), "`:path` is missing");
}

#[test]
fn fields_of_which_there_is_one() {
    for (name, value) in GET {
        let twice = request(&fields(&[GET, &[(name, value)]])).map(|_| ());
        let told = twice.map_err(|malformed| malformed.to_string());
        assert_eq!(told, Err(format!("`{name}` is given more than once")));
    }
    let (authority, host) = ((":authority", "a.test"), ("host", "a.test"));
    assert_eq!(get(&[authority, authority]), Err(Malformed::Repeated(":authority")));
    assert_eq!(get(&[host, host]), Err(Malformed::Repeated("host")));
    let protocol = (":protocol", "websocket");
    assert_eq!(get(&[protocol, protocol]), Err(Malformed::Repeated(":protocol")));
    let status_twice = [(":status", "200"), (":status", "200")];
    assert_eq!(status(&status_twice), Err(Malformed::Repeated(":status")));
}

#[test]
fn pseudo_fields_are_known_and_first() {
    assert_eq!(get(&[(":status", "200")]), Err(Malformed::Pseudo(":status".into())));
    assert_eq!(get(&[(":", "")]), Err(Malformed::Pseudo(":".into())));
    assert_eq!(get(&[(":Path", "/")]), Err(Malformed::Pseudo(":Path".into())));
    let late = [("x", ""), (":authority", "a.test")];
    assert_eq!(get(&late), Err(Malformed::Late(":authority".into())));
    let after_host = [("host", "a.test"), (":authority", "a.test")];
    assert_eq!(get(&after_host), Err(Malformed::Late(":authority".into())));
    let late = [("x", ""), (":status", "200")];
    assert_eq!(status(&late), Err(Malformed::Late(":status".into())));
    let of_a_request = [(":status", "200"), (":path", "/")];
    assert_eq!(status(&of_a_request), Err(Malformed::Pseudo(":path".into())));
}

#[test]
fn names_and_values() {
    assert_eq!(get(&[("x-!#$%&'*+-.^_`|~09", "a\tb ü")]), Ok(()));
    for name in ["", "X", "content-Type", "a b", "a:", "a\0", "ü", "a\n"] {
        let told = Err(Malformed::Name(shown(name.as_bytes())));
        assert_eq!(get(&[(name, "")]), told, "{name:?}");
        assert_eq!(trailers(&fields(&[&[(name, "")]])), told, "{name:?}");
        assert_eq!(status(&[(":status", "200"), (name, "")]).map(|_| ()), told, "{name:?}");
    }
    for value in [" a", "a ", "\ta", "a\t", "a\0b", "a\rb", "a\nb", "a\u{1}b", "\u{7f}"] {
        assert_eq!(get(&[("x", value)]), Err(Malformed::Value("x".into())), "{value:?}");
        assert_eq!(get(&[("host", value)]), Err(Malformed::Value("host".into())), "{value:?}");
        assert_eq!(target("GET", value), Err(Malformed::Value(":path".into())), "{value:?}");
    }
}

#[test]
fn fields_of_a_connection() {
    for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"] {
        let told = Err(Malformed::Connection(name));
        assert_eq!(get(&[(name, "close")]), told);
        assert_eq!(status(&[(":status", "200"), (name, "")]).map(|_| ()), told);
        assert_eq!(trailers(&fields(&[&[(name, "")]])), told);
    }
    assert_eq!(get(&[("te", "trailers"), ("connections", "2"), ("tea", "green")]), Ok(()));
    for value in ["", "gzip", "trailers, gzip", "Trailers"] {
        assert_eq!(get(&[("te", value)]), Err(Malformed::Te), "{value}");
    }
}

#[test]
fn methods_and_schemes() {
    for method in ["GET", "post", "M-SEARCH", "*"] {
        assert_eq!(target(method, "/"), Ok(()), "{method}");
    }
    for method in ["", "GE T", "G/T", "GÉT"] {
        assert_eq!(target(method, "/"), Err(Malformed::Method), "{method}");
    }
    let scheme = |scheme| {
        let list: List<'_> = &[(":scheme", scheme), (":method", "GET"), (":path", "/")];
        request(&fields(&[list])).map(|_| ())
    };
    for known in ["http", "HTTPS", "coap+tcp", "a.1-"] {
        assert_eq!(scheme(known), Ok(()), "{known}");
    }
    for wrong in ["", "1a", "+", "http:", "ht tp", "ü"] {
        assert_eq!(scheme(wrong), Err(Malformed::Scheme), "{wrong}");
    }
}

#[test]
fn paths() {
    for path in ["/", "//", "/*", "/a?b", "/?", "/ü", "/a.B/C%20", "/{a}|\"<>\\^`"] {
        assert_eq!(target("GET", path), Ok(()), "{path}");
        assert_eq!(target("OPTIONS", path), Ok(()), "{path}");
    }
    assert_eq!(target("OPTIONS", "*"), Ok(()));
    assert_eq!(target("GET", ""), Err(Malformed::Missing(":path")));
    for (method, path) in [
        ("GET", "*"),
        ("HEAD", "*"),
        ("GET", "?a"),
        ("OPTIONS", "?a"),
        ("OPTIONS", "**"),
        ("GET", "a"),
        ("GET", "http://a.test/"),
    ] {
        assert_eq!(target(method, path), Err(Malformed::Path), "{method} {path}");
    }
    for path in ["/a b", "/a#b", "/#", "/a\tb"] {
        assert_eq!(target("GET", path), Err(Malformed::PathCharacter), "{path:?}");
    }
}

#[test]
fn authorities() {
    for name in [":authority", "host"] {
        for value in ["a", "a.test:443", "[::1]:80", "127.0.0.1", "%2Ftmp%2Fsocket", "a_b~"] {
            assert_eq!(get(&[(name, value)]), Ok(()), "{name} {value}");
        }
        assert_eq!(get(&[(name, "")]), Err(Malformed::Empty(name)));
        for value in ["user@a.test", "@", "a b", "a/b", "a?", "a#", "ü"] {
            assert_eq!(get(&[(name, value)]), Err(Malformed::Authority(name)), "{name} {value}");
        }
    }
    let both = |authority, host| get(&[(":authority", authority), ("host", host)]);
    assert_eq!(both("a.test:1", "A.Test:1"), Ok(()));
    assert_eq!(both("a.test", "b.test"), Err(Malformed::HostDiffers));
    assert_eq!(both("a.test", "a.test:80"), Err(Malformed::HostDiffers));
    assert_eq!(both("a.test", ""), Err(Malformed::Empty("host")));
}

#[test]
fn connects() {
    let connect = |more: List<'_>| request(&fields(&[&[(":method", "CONNECT")], more])).map(|_| ());
    let (authority, scheme, path) = ((":authority", "a:1"), (":scheme", "http"), (":path", "/"));
    let protocol = (":protocol", "websocket");
    assert_eq!(connect(&[authority]), Ok(()));
    assert_eq!(connect(&[]), Err(Malformed::Missing(":authority")));
    assert_eq!(connect(&[authority, scheme]), Err(Malformed::WithConnect(":scheme")));
    assert_eq!(connect(&[authority, path]), Err(Malformed::WithConnect(":path")));
    assert_eq!(connect(&[authority, scheme, path, protocol]), Ok(()));
    assert_eq!(connect(&[scheme, path, protocol]), Err(Malformed::Missing(":authority")));
    assert_eq!(connect(&[authority, path, protocol]), Err(Malformed::Missing(":scheme")));
    assert_eq!(connect(&[authority, scheme, protocol]), Err(Malformed::Missing(":path")));
    assert_eq!(get(&[authority, protocol]), Err(Malformed::Protocol));
}

#[test]
fn lengths() {
    let of_length = |length| get(&[("content-length", length)]);
    for length in ["0", "5", "007", "9223372036854775807"] {
        assert_eq!(of_length(length), Ok(()), "{length}");
    }
    for length in ["", "+5", "-5", "5, 5", "0x5", "five", "ü", "9223372036854775808"] {
        assert_eq!(of_length(length), Err(Malformed::ContentLength), "{length}");
    }
    let both = |other| get(&[("content-length", "5"), ("content-length", other)]);
    assert_eq!(both("5"), Err(Malformed::Repeated("content-length")));
    assert_eq!(both("6"), Err(Malformed::Repeated("content-length")));
    let head = response(&fields(&[&[(":status", "200"), ("content-length", "70")]]));
    assert_eq!(head, Ok(ResponseHead { status: 200, content_length: Some(70) }));
}

#[test]
fn statuses() {
    for (value, number) in [("100", 100), ("103", 103), ("200", 200), ("999", 999)] {
        assert_eq!(status(&[(":status", value)]), Ok(number));
    }
    for value in ["", "20", "2000", "099", "000", "101", "2x0", "+20", "٢٠٠"] {
        assert_eq!(status(&[(":status", value)]), Err(Malformed::Status), "{value}");
    }
    assert_eq!(status(&[("x", "")]), Err(Malformed::Missing(":status")));
}

#[test]
fn trailers_are_no_heads() {
    let look_at = |name| trailers(&fields(&[&[(name, "5")]]));
    assert_eq!(trailers(&Fields::new()), Ok(()));
    for name in ["host", "content-length", ":status", ":path", ":x"] {
        assert_eq!(look_at(name), Err(Malformed::Trailer(name.into())));
    }
    for name in ["grpc-status", "x-checksum", "trailer", "content-encoding", "cookie", "hosts"] {
        assert_eq!(look_at(name), Ok(()), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_fields_do_harm(list in vec((field_name(), vec(any::<u8>(), 0..6)), 0..8)) {
        let mut fields = Fields::new();
        for (name, value) in &list {
            fields.push(name, value, Indexing::Without);
        }
        if let Ok(head) = request(&fields) {
            prop_assert_eq!(fields.get(b":method"), Some(head.method));
        }
        let _ = (response(&fields), trailers(&fields));
    }
}

/// One that means something, or any bytes.
fn field_name() -> impl Strategy<Value = Vec<u8>> {
    const KNOWN: [&str; 7] =
        [":method", ":path", ":scheme", ":authority", ":status", "host", "content-length"];
    let known = proptest::sample::select(&KNOWN[..]).prop_map(|name| name.as_bytes().to_vec());
    prop_oneof![known, vec(any::<u8>(), 0..4)]
}
