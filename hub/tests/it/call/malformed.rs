//! Requests that RFC 9113 calls malformed: some servers end a connection for them, and an intermediary must not
//! pass them on (8.1.1). So they do not reach one, and what is next to them does as it is.

use h2::Reason;

use crate::support::NAME;
use crate::support::frames::END_STREAM;
use crate::support::hpack::Headers;
use crate::support::hub::Hub;
use crate::support::pair::Pair;
use crate::support::peer::{Peer, Settings};

/// A head, and what is different about it.
#[derive(Clone, Copy)]
struct Head {
    method: &'static str,
    /// `None` leaves them out.
    scheme: Option<&'static str>,
    authority: Option<&'static str>,
    path: Option<&'static str>,
    fields: &'static [(&'static str, &'static str)],
}

const HEAD: Head = Head {
    method: "POST",
    scheme: Some("http"),
    authority: Some("hub.test"),
    path: Some("/a.B/C"),
    fields: &[],
};

const fn with(fields: &'static [(&'static str, &'static str)]) -> Head {
    Head { fields, ..HEAD }
}

const fn of(method: &'static str, path: &'static str) -> Head {
    Head { method, path: Some(path), ..HEAD }
}

impl Head {
    /// What tells requests apart at the upstream is `x-stream`.
    fn headers(&self, stream: u32) -> Headers {
        let pseudo = [
            (":method", Some(self.method)),
            (":scheme", self.scheme),
            (":authority", self.authority),
            (":path", self.path),
        ];
        let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let stream = stream.to_string();
        let own = [("name", NAME), ("x-stream", &*stream)];
        let headers = pseudo.chain(own).chain(self.fields.iter().copied());
        headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

struct World {
    hub: Hub,
    pair: Pair,
    stream: u32,
}

impl World {
    async fn start() -> Self {
        let hub = Hub::start().await;
        let pair = Pair::start(&hub, NAME, Settings::default(), Settings::default()).await;
        Self { hub, pair, stream: 1 }
    }

    fn client(&mut self) -> &mut Peer {
        &mut self.pair.client
    }

    /// Begins a stream of the client.
    async fn begin(&mut self, head: Head, flags: u8) -> u32 {
        let stream = self.stream;
        self.stream += 2;
        self.client().head(stream, &head.headers(stream), flags);
        self.client().flush().await;
        stream
    }

    /// The head, as the hub answered it.
    async fn refused(&mut self, head: Head) -> Headers {
        let stream = self.begin(head, END_STREAM).await;
        self.client().until("an answer", |client| client.heard(stream).ended).await;
        self.client().heard(stream).head.clone().expect("a head")
    }

    /// The stream at the upstream.
    async fn arrived(&mut self, stream: u32) -> u32 {
        let upstream = &mut self.pair.upstream;
        upstream.until("a request", |upstream| at_upstream(upstream, stream).is_some()).await;
        at_upstream(upstream, stream).expect("a request")
    }

    /// Passes a head on, whose head at the upstream is returned.
    async fn passed(&mut self, head: Head) -> Headers {
        let stream = self.begin(head, END_STREAM).await;
        let there = self.arrived(stream).await;
        self.pair.upstream.answer(there);
        self.pair.upstream.flush().await;
        self.client().until("an answer", |client| client.heard(stream).ended).await;
        self.pair.upstream.heard(there).head.clone().expect("a head")
    }

    /// Both connections serve another call, and nothing else has come to the upstream before it.
    async fn assert_unharmed(&mut self, seen: usize) {
        self.pair.call(self.stream, NAME).await;
        self.stream += 2;
        assert_eq!(self.pair.upstream.streams.len(), seen + 1);
        assert_eq!(self.hub.metric("hub_registrations_total").await, 1.0);
    }
}

fn at_upstream(upstream: &Peer, stream: u32) -> Option<u32> {
    let own = ("x-stream".to_owned(), stream.to_string());
    let found = |head: &Headers| head.contains(&own);
    upstream
        .streams
        .iter()
        .find(|(_, heard)| heard.head.as_ref().is_some_and(found))
        .map(|(at, _)| *at)
}

fn value<'h>(headers: &'h Headers, name: &str) -> Option<&'h str> {
    headers.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
}

#[tokio::test]
async fn heads_are_answered_by_the_hub() {
    let mut world = World::start().await;
    let heads = [
        (with(&[("host", "hub.test"), ("host", "hub.test")]), "`host`"),
        (with(&[("host", "")]), "`host`"),
        (with(&[("content-length", "0"), ("content-length", "0")]), "`content-length`"),
        (with(&[("host", "other.test")]), "`host`"),
        (with(&[("host", "no host")]), "`host`"),
        (Head { authority: Some("no host"), ..HEAD }, "`:authority`"),
        (Head { authority: Some("dns:///hub:1"), ..HEAD }, "`:authority`"),
        (with(&[("content-length", "")]), "`content-length`"),
        (with(&[("content-length", "five")]), "`content-length`"),
        (of("GET", "a"), "`:path`"),
        (of("GET", "http://hub.test/a"), "`:path`"),
        (of("OPTIONS", "*a"), "`:path`"),
        (of("POST", "*"), "`:path`"),
        (of("GET", "?a"), "`:path`"),
        (of("OPTIONS", "?a"), "`:path`"),
    ];
    for (head, _) in &heads {
        let answer = world.refused(*head).await;
        assert_eq!(value(&answer, ":status"), Some("400"), "{answer:?}");
        assert_eq!(value(&answer, "hub-reason"), Some("bad-request"), "{answer:?}");
    }
    for (head, fault) in &heads {
        let fields = [head.fields, &[("content-type", "application/grpc")]].concat();
        let answer = world.refused(Head { fields: fields.leak(), ..*head }).await;
        assert_eq!(value(&answer, "grpc-status"), Some("3"), "{answer:?}");
        let message = value(&answer, "grpc-message").expect("a sentence");
        assert!(message.contains(fault), "{message}");
    }
    let counted = "hub_calls_total{target=\"agent\",outcome=\"INVALID_ARGUMENT\",hub_reason=\"bad-request\",via=\"local\"}";
    assert_eq!(world.hub.metric(counted).await, heads.len() as f64);
    world.assert_unharmed(0).await;
}

/// A number that no server counts up to; its body is still to come.
#[tokio::test]
async fn so_is_a_length_beyond_all_bounds() {
    let mut world = World::start().await;
    let stream = world.begin(with(&[("content-length", "9223372036854775808")]), 0).await;
    world.client().until("an answer", |client| client.heard(stream).ended).await;
    let answer = world.client().heard(stream).head.clone().expect("a head");
    assert_eq!(value(&answer, "hub-reason"), Some("bad-request"), "{answer:?}");
    world.assert_unharmed(0).await;
}

/// What no library sends by mistake ends the stream.
#[tokio::test]
async fn heads_that_end_their_stream() {
    let mut world = World::start().await;
    for head in [
        with(&[("content-length", "5")]),
        with(&[("te", "gzip")]),
        with(&[("connection", "close")]),
        with(&[("transfer-encoding", "chunked")]),
        Head { path: None, ..HEAD },
        Head { scheme: None, ..HEAD },
        Head { scheme: Some("ht tp"), ..HEAD },
        Head { scheme: Some(""), ..HEAD },
        Head { authority: None, path: None, ..HEAD },
        Head { authority: Some(""), ..HEAD },
    ] {
        let stream = world.begin(head, END_STREAM).await;
        world.client().until("a reset", |client| client.heard(stream).reset.is_some()).await;
        assert_eq!(world.client().heard(stream).reset, Some(Reason::PROTOCOL_ERROR.into()));
    }
    world.assert_unharmed(0).await;
}

/// Whoever sends them is reset, the server hears no more than that a caller has given up.
#[tokio::test]
async fn trailers_do_not_pass() {
    const TRAILERS: [(&str, &str); 5] = [
        ("content-length", "5"),
        ("host", "hub.test"),
        ("te", "gzip"),
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
    ];
    let mut world = World::start().await;
    for trailer in TRAILERS {
        let stream = world.begin(HEAD, 0).await;
        world.client().data(stream, b"hello", 0);
        let there = world.arrived(stream).await;
        world.client().head(stream, &[("x-checksum", "1"), trailer], END_STREAM);
        world.client().flush().await;
        world.client().until("a reset", |client| client.heard(stream).reset.is_some()).await;
        assert_eq!(world.client().heard(stream).reset, Some(Reason::PROTOCOL_ERROR.into()));
        let upstream = &mut world.pair.upstream;
        upstream.until("a reset", |upstream| upstream.heard(there).reset.is_some()).await;
        let heard = upstream.heard(there);
        assert_eq!((heard.reset, heard.ended), (Some(Reason::CANCEL.into()), false), "{heard:?}");
    }
    world.assert_unharmed(TRAILERS.len()).await;
}

/// The same where the server has answered in full before.
#[tokio::test]
async fn trailers_do_not_pass_after_the_answer() {
    let mut world = World::start().await;
    let stream = world.begin(HEAD, 0).await;
    let there = world.arrived(stream).await;
    world.pair.upstream.answer(there);
    world.pair.upstream.flush().await;
    world.client().until("an answer", |client| client.heard(stream).ended).await;
    world.client().head(stream, &[("content-length", "5")], END_STREAM);
    world.client().flush().await;
    let upstream = &mut world.pair.upstream;
    upstream.until("a reset", |upstream| upstream.heard(there).reset.is_some()).await;
    assert_eq!(upstream.heard(there).reset, Some(Reason::CANCEL.into()));
    assert_eq!(world.client().heard(stream).reset, None);
    world.assert_unharmed(1).await;
}

#[tokio::test]
async fn valid_neighbours_pass_as_they_are() {
    let mut world = World::start().await;
    let heads = [
        HEAD,
        with(&[("host", "hub.test")]),
        with(&[("host", "HUB.test")]),
        // As C-core says of a socket's path, and Go of a resolver's target.
        Head { authority: Some("svc%2Fhub"), ..HEAD },
        // And C-core of a list of addresses (`ipv4:A:1,B:2`).
        Head { authority: Some("127.0.0.1:1,127.0.0.1:2"), ..HEAD },
        with(&[("content-length", "0")]),
        with(&[("content-length", "000")]),
        with(&[("te", "trailers")]),
        with(&[("cookie", "a=1"), ("cookie", "b=2"), ("cookie", "a=1")]),
        with(&[("content-type", "a"), ("content-type", "a"), ("x", ""), ("x", "")]),
        with(&[("x-host", "a"), ("x-host", "a"), ("trailer", "x"), ("content-encoding", "gzip")]),
        of("OPTIONS", "*"),
        of("OPTIONS", "/"),
        of("GET", "/*?*"),
        of("HEAD", "//"),
    ];
    for head in heads {
        let stream = world.stream;
        let mut sent = head.headers(stream);
        let mut there = world.passed(head).await;
        sent.sort();
        there.sort();
        assert_eq!(there, sent);
    }
    world.assert_unharmed(heads.len()).await;
}

#[tokio::test]
async fn valid_trailers_pass_as_they_are() {
    let mut world = World::start().await;
    let stream = world.begin(HEAD, 0).await;
    let there = world.arrived(stream).await;
    let trailers =
        [("x-checksum", "1"), ("x-checksum", "2"), ("te", "trailers"), ("cookie", "a=1")];
    world.client().head(stream, &trailers, END_STREAM);
    world.client().flush().await;
    let upstream = &mut world.pair.upstream;
    upstream.until("the end", |upstream| upstream.heard(there).ended).await;
    let mut heard = upstream.heard(there).trailers.clone().expect("trailers");
    heard.sort();
    let mut sent = trailers.map(|(name, value)| (name.to_owned(), value.to_owned()));
    sent.sort();
    assert_eq!(heard, sent);
}

/// `:scheme` is the agent's, and `:authority` is never missing.
#[tokio::test]
async fn what_the_hub_sets() {
    let mut world = World::start().await;
    for scheme in ["https", "ftp"] {
        let there = world.passed(Head { scheme: Some(scheme), ..HEAD }).await;
        assert_eq!(value(&there, ":scheme"), Some("http"), "{scheme}");
    }
    for (fields, authority) in
        [(&[][..], NAME), (&[("host", "other.test:8080")], "other.test:8080")]
    {
        let there = world.passed(Head { authority: None, fields, ..HEAD }).await;
        assert_eq!(value(&there, ":authority"), Some(authority));
        assert_eq!(value(&there, "host"), value(&fields_of(fields), "host"));
    }
}

fn fields_of(fields: &[(&str, &str)]) -> Headers {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// They are served by a library that takes less than callers send, of which they need nothing.
#[tokio::test]
async fn the_hubs_own_services_take_any_authority_that_may_pass() {
    let hub = Hub::start().await;
    for authority in ["svc%2Fhub", "127.0.0.1:1,127.0.0.1:2"] {
        let mut client = Peer::client(hub.address, Settings::default()).await;
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", authority),
            (":path", "/grpc.health.v1.Health/Check"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        client.head(1, &fields, 0);
        client.data(1, &[0; 5], END_STREAM);
        client.flush().await;
        client.until("an answer", |client| client.heard(1).ended).await;
        let trailers = client.heard(1).trailers.clone().expect("trailers");
        assert_eq!(value(&trailers, "grpc-status"), Some("0"), "{trailers:?}");
    }
}
