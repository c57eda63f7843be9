//! HTTP/1.1: what is no agent's upgrade goes on as HTTP/2.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::admin::exchange;
use crate::support::client::Client;
use crate::support::hub::Hub;
use crate::support::message::{grpc, ok, send};
use crate::support::world::World;
use crate::support::{NAME, within};

#[tokio::test]
async fn a_request_reaches_the_server_as_http_2() {
    let mut world = World::start().await;
    let request = format!(
        "PUT /a/b?c=d HTTP/1.1\r\nHost: hub.test\r\nname: {NAME}\r\nConnection: close, x-hop\r\n\
         X-Hop: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nping\r\n0\r\n\r\n"
    );
    let (said, ()) = tokio::join!(exchange(world.hub.address, &request), async {
        let mut call = world.session.call().await;
        assert_eq!(call.request.method(), "PUT");
        assert_eq!(call.request.uri(), "http://hub.test/a/b?c=d");
        assert_eq!((call.header("x-hop"), call.header("connection")), (None, None));
        assert_eq!(call.body().await.0, b"ping");
        let head = http::Response::builder().status(201).header("x-said", "this");
        let mut body = call.respond.send_response(head.body(()).unwrap(), false).unwrap();
        body.send_data("pong".into(), true).unwrap();
    });
    assert!(said.starts_with("HTTP/1.1 201 Created\r\n"), "{said}");
    assert!(said.contains("x-said: this\r\n") && said.contains("pong"), "{said}");
}

#[tokio::test]
async fn a_connection_has_several_requests_one_after_the_other() {
    let mut world = World::start().await;
    let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
    for _ in 0..3 {
        let request = format!("GET /a HTTP/1.1\r\nHost: hub.test\r\nname: {NAME}\r\n\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let call = world.session.call().await;
        let head = http::Response::builder().header("content-length", "4").body(()).unwrap();
        let mut respond = call.respond;
        respond.send_response(head, false).unwrap().send_data("pong".into(), true).unwrap();
        let mut said = Vec::new();
        while !said.ends_with(b"pong") {
            within("an answer", tcp.read_buf(&mut said)).await.unwrap();
        }
    }
    assert_eq!(world.session.begun(), 1, "one lane for all of them");
}

#[tokio::test]
async fn what_the_hub_says_itself() {
    let hub = Hub::start().await;
    for (request, status, words) in [
        ("GET / HTTP/1.1\r\nHost: x\r\n", "404", "hub-reason: no-name"),
        ("GET / HTTP/1.1\r\nHost: x\r\nname: nobody\r\n", "503", "hub-reason: unknown-name"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n", "400", "hub-reason: bad-request"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n", "400", "hub-reason: bad-request"),
    ] {
        let said = exchange(hub.address, &format!("{request}Connection: close\r\n\r\n")).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {said}");
        assert!(said.contains(words), "{request}: {said}");
    }
}

/// What stands in chunked trailers about the connection has no place in HTTP/2.
#[tokio::test]
async fn trailers_pass_but_for_what_is_about_the_connection() {
    let mut world = World::start().await;
    let request = format!(
        "POST /a HTTP/1.1\r\nHost: x\r\nname: {NAME}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nconnection: x\r\nte: gzip\r\nx-sum: 1\r\n\r\n"
    );
    let (said, ()) = tokio::join!(exchange(world.hub.address, &request), async {
        let mut call = world.session.call().await;
        let (body, trailers) = call.body().await;
        let trailers = trailers.expect("trailers");
        assert_eq!(
            (&body[..], trailers.len(), &trailers["x-sum"]),
            (&b"hi"[..], 1, &"1".parse().unwrap())
        );
        call.respond.send_response(http::Response::new(()), true).unwrap();
    });
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[tokio::test]
async fn a_broken_body_is_its_callers_fault() {
    let mut world = World::start().await;
    let mut tcp = TcpStream::connect(world.hub.address).await.unwrap();
    let request = format!(
        "POST /a HTTP/1.1\r\nHost: x\r\nname: {NAME}\r\nConnection: close\r\n\
         Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    // Once the server has it: what broke before would never reach it.
    let mut call = world.session.call().await;
    tcp.write_all(b"no length\r\n").await.unwrap();
    call.reset().await;
    let mut said = String::new();
    within("an answer", tcp.read_to_string(&mut said)).await.unwrap();
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(said.contains("hub-reason: bad-request"), "{said}");
}

#[tokio::test]
async fn a_path_that_agents_have_is_a_servers_too() {
    let mut world = World::start().await;
    let request =
        format!("GET /ws HTTP/1.1\r\nHost: x\r\nname: {NAME}\r\nConnection: close\r\n\r\n");
    let (said, ()) = tokio::join!(exchange(world.hub.address, &request), async {
        let call = world.session.call().await;
        let mut respond = call.respond;
        respond.send_response(http::Response::new(()), true).unwrap();
    });
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

/// Calls that come while a hub drains are served, and it waits for a reader that is slow.
#[tokio::test]
async fn a_hub_that_stops_serves_whoever_is_there() {
    const BODY: usize = 4 << 20;
    let mut world = World::start().await;
    let running = Client::connect(world.hub.address).await;
    let (response, _sending) = running.open(grpc(NAME, "/a.B/Running"), true).await;
    let call = world.session.call().await;
    let mut late = TcpStream::connect(world.hub.address).await.unwrap();
    let request = format!("GET /a HTTP/1.1\r\nHost: x\r\nname: {NAME}\r\n\r\n");
    // It has shown what it speaks before the hub takes no more.
    late.write_all(&request.as_bytes()[..10]).await.unwrap();
    world.hub.drain();
    within("GOAWAY", running.gone()).await;
    late.write_all(&request.as_bytes()[10..]).await.unwrap();
    let mut respond = world.session.call().await.respond;
    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
    let sent = tokio::spawn(async move {
        send(&mut body, vec![7; BODY].into(), true).await.unwrap();
    });
    call.answer();
    assert_eq!(within("an answer", response).await.expect("an answer").status(), 200);
    let mut said = Vec::new();
    let read = async {
        // Much slower than what is behind it could wait for, were it not waited for.
        let mut piece = vec![0; 256 << 10];
        while let n @ 1.. = late.read(&mut piece).await.unwrap() {
            said.extend_from_slice(&piece[..n]);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    within("all of it", read).await;
    sent.await.unwrap();
    assert!(said.len() > BODY, "{} bytes", said.len());
    world.hub.ended().await;
}

/// A hub that stops lets what runs end, and closes what is idle.
#[tokio::test]
async fn a_request_that_runs_ends_before_the_hub() {
    let mut world = World::start().await;
    let address = world.hub.address;
    let request = format!("GET /a HTTP/1.1\r\nHost: x\r\nname: {NAME}\r\n\r\n");
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    within("its answer", idle.read(&mut [0; 4096])).await.unwrap();
    let mut running = TcpStream::connect(address).await.unwrap();
    running.write_all(request.as_bytes()).await.unwrap();
    let call = world.session.call().await;
    world.hub.drain();
    let mut rest = Vec::new();
    within("the idle one to be closed", idle.read_to_end(&mut rest)).await.unwrap();
    let mut respond = call.respond;
    let mut body = respond.send_response(http::Response::new(()), false).unwrap();
    body.send_data("pong".into(), false).unwrap();
    body.send_trailers(ok()).unwrap();
    let mut said = String::new();
    within("the answer", running.read_to_string(&mut said)).await.unwrap();
    assert!(said.contains("pong"), "{said}");
    world.hub.ended().await;
}
