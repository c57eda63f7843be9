//! What the environment says, and what proxies say.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

fn proxy(text: &str) -> Proxy {
    text.parse().expect("a proxy")
}

#[test]
fn a_proxy_is_shown_without_its_password() {
    for (text, shown) in [
        ("http://u:secret@proxy:3128", "http://proxy:3128"),
        ("proxy:3128", "http://proxy:3128"),
        ("socks5h://u:secret@[::1]", "socks5h://[::1]:1080"),
        ("http://proxy", "http://proxy:80"),
    ] {
        let proxy = proxy(text);
        assert_eq!(proxy.to_string(), shown);
        assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
    }
    for text in [
        "",
        "https://proxy:443",
        "socks4://proxy",
        "http://",
        "ftp://proxy",
        "a b",
        "http://p:99999",
        "http://p:3x",
        "http://p:",
        "http://u:pa/ss@p:1",
        "http://u:p#@p:1",
        "http://u:p@ss@p:1",
        "http://p:1/x",
        "http://p:0",
    ] {
        assert_eq!(text.parse::<Proxy>(), Err(ProxySyntaxError), "{text}");
    }
    assert_eq!("none".parse(), Ok(ProxySetting::None));
}

/// The proxy in an environment like this one, if any.
fn chosen(vars: &[(&str, &str)], host: &str, port: u16) -> Option<String> {
    let var = |name: &str| {
        vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    in_environment(host, port, var).expect("a proxy").map(|proxy| proxy.to_string())
}

#[test]
fn the_environment_is_heeded_as_others_do() {
    let (https, all) = (("https_proxy", "http://a:1"), ("ALL_PROXY", "socks5h://b:2"));
    let [a, b] = ["http://a:1", "socks5h://b:2"].map(|shown| Some(shown.to_owned()));
    assert_eq!(chosen(&[], "hub", 443), None);
    assert_eq!(chosen(&[https, all], "hub", 443), a);
    assert_eq!(chosen(&[all], "hub", 443), b);
    assert_eq!(chosen(&[("HTTPS_PROXY", ""), all], "hub", 443), b);
    for here in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(chosen(&[https], here, 443), None, "{here}");
    }
    for list in ["*", "hub.example", " other ,.example", "*.example", "hub.example:443", "example"]
    {
        assert_eq!(chosen(&[https, ("no_proxy", list)], "hub.example", 443), None, "{list}");
    }
    for list in ["hub.example:80", "ample", "xhub.example", "10.0.0.0/8", ","] {
        assert_eq!(chosen(&[https, ("NO_PROXY", list)], "hub.example", 443), a, "{list}");
    }
    for (list, host) in
        [("10.0.0.0/8", "10.1.2.3"), ("*", "10.1.2.3"), ("[2001:db8::1]:443", "2001:db8::1")]
    {
        assert_eq!(chosen(&[https, ("NO_PROXY", list)], host, 443), None, "{list}");
    }
    let wrong = in_environment("hub", 1, |name| (name == "all_proxy").then(|| "ftp://x".into()));
    assert_eq!(wrong, Err(EnvironmentError("all_proxy")));
}

/// A proxy that says `answer` to what it is asked first, and then sends back what comes. Returns what it was asked.
async fn fake(answer: &'static [u8]) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(tcp.read_u8().await.expect("more"));
        }
        tcp.write_all(answer).await.expect("sent");
        tokio::spawn(async move {
            let (mut from, mut to) = tcp.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        String::from_utf8(asked).expect("text")
    });
    (address, asked)
}

async fn ask(answer: &'static [u8], credentials: &str) -> (Result<TcpStream, ProxyError>, String) {
    let (address, asked) = fake(answer).await;
    let connected =
        proxy(&format!("http://{credentials}{address}")).connect("hub.example", 443).await;
    (connected, asked.await.expect("no panic"))
}

#[tokio::test]
async fn a_connection_through_a_proxy_is_one_to_the_hub() {
    let (connected, asked) = ask(b"HTTP/1.1 200 Connection established\r\n\r\n", "me:it%40@").await;
    assert!(asked.starts_with("CONNECT hub.example:443 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nHost: hub.example:443\r\n"), "{asked}");
    // me:it@
    assert!(asked.contains("\r\nProxy-Authorization: Basic bWU6aXRA\r\n"), "{asked}");
    let mut tcp = connected.expect("connected");
    tcp.write_all(b"ping").await.expect("sent");
    let mut echoed = [0; 4];
    tcp.read_exact(&mut echoed).await.expect("echoed");
    assert_eq!(&echoed, b"ping");
}

#[tokio::test]
async fn what_a_proxy_says_instead_is_told() {
    for (answer, credentials, says, is_lasting) in [
        (
            &b"HTTP/1.1 407 Who?\r\nContent-Length: 0\r\n\r\n"[..],
            "",
            "say http://user:password@",
            true,
        ),
        (
            b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: Basic realm=x\r\n\r\n",
            "me:it@",
            "does not take these credentials",
            true,
        ),
        (
            b"HTTP/1.1 407 Who?\r\nProxy-Authenticate: NTLM\r\n\r\n",
            "me:it@",
            "which is Basic",
            true,
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\n\r\n",
            "",
            "to http://portal/: is it",
            true,
        ),
        (b"HTTP/1.1 403 No\r\nServer: squid/5.7\r\n\r\n", "", ": HTTP 403, by squid/5.7", false),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "", "says more", false),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "", "does not connect to hub.example:443: ", false),
    ] {
        let error = ask(answer, credentials).await.0.expect_err("no connection");
        let told = error.to_string();
        assert!(told.contains(says) && !told.contains("me:it"), "{told}");
        assert_eq!(error.is_lasting(), is_lasting, "{told}");
    }
    let nobody =
        proxy("http://127.0.0.1:1").connect("hub", 443).await.expect_err("nobody is there");
    let told = nobody.to_string();
    assert!(told.starts_with("cannot connect to the proxy http://127.0.0.1:1: "), "{told}");
}

/// A SOCKS5 proxy that says these bytes, and is asked again in between.
async fn socks(answers: &'static [&'static [u8]], credentials: &str) -> ProxyError {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        for answer in answers {
            let _ = tcp.read(&mut [0; 512]).await;
            tcp.write_all(answer).await.expect("sent");
        }
        let _ = tcp.read(&mut [0; 512]).await;
    });
    let asked = proxy(&format!("socks5h://{credentials}{address}"));
    asked.connect("hub.example", 443).await.expect_err("no connection")
}

#[tokio::test]
async fn what_a_socks_proxy_says_instead_is_told() {
    const REFUSED: &[u8] = &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0];
    const UNKNOWN: &[&[u8]] = &[&[5, 0xff]];
    const WRONG: &[&[u8]] = &[&[5, 2], &[1, 1]];
    const FORBIDDEN: &[&[u8]] = &[&[5, 0], REFUSED];
    for (answers, credentials, says, is_lasting) in [
        (UNKNOWN, "", "say socks5h://user:password@host:port", true),
        (WRONG, "me:it@", "it does not take these credentials", true),
        (FORBIDDEN, "", "does not connect to hub.example:443", false),
    ] {
        let error = socks(answers, credentials).await;
        let told = error.to_string();
        assert!(told.contains(says) && !told.contains("me:it"), "{told}");
        assert_eq!(error.is_lasting(), is_lasting, "{told}");
    }
}

/// A SOCKS5 proxy that wants user and password, by hand (RFC 1928, RFC 1929).
#[tokio::test]
async fn socks_leaves_the_name_to_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serves = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.expect("a connection");
        let mut read = async |bytes: usize, answer: &[u8]| {
            let mut said = vec![0; bytes];
            tcp.read_exact(&mut said).await.expect("more");
            tcp.write_all(answer).await.expect("sent");
            said
        };
        assert_eq!(read(3, &[5, 2]).await, [5, 1, 2]);
        assert_eq!(read(7, &[1, 0]).await, *b"\x01\x02me\x02it");
        let name = b"hub.example";
        let asked = read(7 + name.len(), &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await;
        assert_eq!(asked, [&[5, 1, 0, 3, 11], &name[..], &443_u16.to_be_bytes()].concat());
        tcp
    });
    let asked = proxy(&format!("socks5h://me:it@{address}"));
    let mut tcp = asked.connect("hub.example", 443).await.expect("connected");
    let mut server = serves.await.expect("no panic");
    server.write_all(b"hello").await.expect("sent");
    let mut heard = [0; 5];
    tcp.read_exact(&mut heard).await.expect("heard");
    assert_eq!(&heard, b"hello");
}
