//! Whose connection a balancer passes on, by its PROXY header: told alike however that arrives, and not a byte more is taken.
//!
//! Input: four sizes of chunks, then what the balancer sends.
#![no_main]

use fuzz::Chunked;
use hub::fuzzing::read_proxy_header;
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncReadExt as _;

fuzz_target!(|data: &[u8]| {
    let (sizes, sent) = data.split_at(data.len().min(4));
    let told = fuzz::run(tell(Chunked::new(sent, sizes)));
    assert_eq!(told, fuzz::run(tell(Chunked::new(sent, &[]))), "chunks change it");
    let Ok((source, rest)) = told else { return };
    let header = sent.strip_suffix(&rest[..]).expect("bytes are made up");
    assert!(header.starts_with(b"PROXY ") || header.starts_with(b"\r\n\r\n\0\r\nQUIT\n"));
    // What follows it changes nothing.
    assert_eq!(fuzz::run(tell(Chunked::new(header, &[]))), Ok((source.clone(), Vec::new())));
    if let (Some(source), true) = (source, header.starts_with(b"PROXY ")) {
        let words: Vec<_> = header.split(|byte| *byte == b' ').collect();
        let (address, port) = (String::from_utf8_lossy(words[2]), String::from_utf8_lossy(words[4]));
        assert_eq!(source.ip(), address.parse::<std::net::IpAddr>().expect("an address"));
        assert_eq!(source.port(), port.parse::<u16>().expect("a port"));
    }
});

/// The address, if it tells one, and what follows; or what is wrong.
async fn tell(mut io: Chunked<'_>) -> Result<(Option<std::net::SocketAddr>, Vec<u8>), String> {
    let source = read_proxy_header(&mut io).await?;
    let mut rest = Vec::new();
    io.read_to_end(&mut rest).await.expect("a stream that does not fail");
    Ok((source, rest))
}
