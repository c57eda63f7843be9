//! Asks the admin listener.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::within;

/// Status and body of an HTTP/1.1 GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    ask(address, "GET", path).await
}

/// Status and body of an HTTP/1.1 request without a body.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let text = exchange(address, &request).await;
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
    (status, body.to_owned())
}

/// Sends a text, and reads all that comes until the peer closes.
pub(crate) async fn exchange(address: SocketAddr, text: &str) -> String {
    let answer = async {
        let mut tcp = TcpStream::connect(address).await.expect("connected");
        tcp.write_all(text.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        // A peer that hangs up before it has read everything resets the connection, after its answer.
        _ = tcp.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    };
    within("an answer over HTTP/1.1", answer).await
}

/// The value of one line of `/metrics`, which is given without it; 0 where there is none.
pub(crate) async fn metric(address: SocketAddr, line: &str) -> f64 {
    let (status, text) = get(address, "/metrics").await;
    assert_eq!(status, 200);
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}
