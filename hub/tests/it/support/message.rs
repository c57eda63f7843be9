//! What goes over the wire: gRPC messages, heads, and bytes that can be told from each other.

use std::future::poll_fn;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response};

/// One gRPC message: not compressed, its length, itself.
pub(crate) fn message(payload: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(5 + payload.len());
    message.put_u8(0);
    message.put_u32(payload.len() as u32);
    message.put_slice(payload);
    message.freeze()
}

/// The head of a gRPC call.
pub(crate) fn grpc(name: &str, path: &str) -> Request<()> {
    let mut request = plain(Method::POST, name, path);
    let headers = request.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("te", HeaderValue::from_static("trailers"));
    request
}

/// The head of a request that is not gRPC's. `name` is left out where it is empty.
pub(crate) fn plain(method: Method, name: &str, path: &str) -> Request<()> {
    let request = Request::builder().method(method).uri(format!("http://hub.test{path}"));
    let named = [name].into_iter().filter(|name| !name.is_empty());
    named.fold(request, |request, name| request.header("name", name)).body(()).unwrap()
}

/// The head of a gRPC answer.
pub(crate) fn grpc_head() -> Response<()> {
    Response::builder().header("content-type", "application/grpc").body(()).unwrap()
}

/// Headers or trailers.
pub(crate) fn headers<const N: usize>(pairs: [(&'static str, &str); N]) -> HeaderMap {
    let value = |value| HeaderValue::from_str(value).unwrap();
    let mut headers = HeaderMap::new();
    for (name, text) in pairs {
        headers.append(name, value(text));
    }
    headers
}

/// The trailers of a call that went well.
pub(crate) fn ok() -> HeaderMap {
    headers([("grpc-status", "0")])
}

/// Sends bytes as the window allows, and the end of the stream with the last if `end`.
pub(crate) async fn send(
    stream: &mut SendStream<Bytes>,
    mut bytes: Bytes,
    end: bool,
) -> Result<(), h2::Error> {
    while !bytes.is_empty() {
        let room = room(stream, bytes.len()).await?;
        let part = bytes.split_to(room.min(bytes.len()));
        stream.send_data(part, end && bytes.is_empty())?;
    }
    Ok(())
}

/// Waits until the window has room, for `wanted` bytes at most.
async fn room(stream: &mut SendStream<Bytes>, wanted: usize) -> Result<usize, h2::Error> {
    stream.reserve_capacity(wanted);
    while stream.capacity() == 0 {
        match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(capacity) => drop(capacity?),
            None => return Err(poll_fn(|cx| stream.poll_reset(cx)).await?.into()),
        }
    }
    Ok(stream.capacity())
}

/// Reads a body to its end: its bytes, and its trailers or what broke it.
pub(crate) async fn receive(body: &mut RecvStream) -> (Vec<u8>, Result<HeaderMap, h2::Error>) {
    let mut received = Vec::new();
    while let Some(chunk) = body.data().await {
        match chunk {
            Ok(chunk) => {
                received.extend_from_slice(&chunk);
                // Fails only after a reset, of which the next chunk tells.
                let _ = body.flow_control().release_capacity(chunk.len());
            }
            Err(error) => return (received, Err(error)),
        }
    }
    let trailers = body.trailers().await;
    (received, trailers.map(Option::unwrap_or_default))
}

/// The next `n` bytes of a body.
pub(crate) async fn receive_exactly(body: &mut RecvStream, n: usize) -> Vec<u8> {
    let mut received = Vec::new();
    while received.len() < n {
        let chunk = body.data().await.expect("more data").expect("data");
        body.flow_control().release_capacity(chunk.len()).unwrap();
        received.extend_from_slice(&chunk);
    }
    assert_eq!(received.len(), n);
    received
}

/// Bytes without an end whose period is no power of two: a piece that is lost, doubled or misplaced shows.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..65_521).map(|_| next()).collect()
});

/// A piece of the pattern that begins at `offset`, of at most `max` bytes.
fn pattern(offset: usize, max: usize) -> Bytes {
    let start = offset % PATTERN.len();
    PATTERN.slice(start..PATTERN.len().min(start + max))
}

/// Sends `total` bytes of the pattern and counts them as they go.
pub(crate) async fn pour(
    stream: &mut SendStream<Bytes>,
    total: usize,
    sent: &AtomicUsize,
) -> Result<(), h2::Error> {
    const CHUNK: usize = 16 << 10;
    let mut offset = 0;
    while offset < total {
        let wanted = CHUNK.min(total - offset);
        let room = room(stream, wanted).await?;
        let chunk = pattern(offset, room.min(wanted));
        offset += chunk.len();
        sent.fetch_add(chunk.len(), Ordering::Relaxed);
        stream.send_data(chunk, false)?;
    }
    Ok(())
}

/// Reads a body to its end and holds it against the pattern. Returns how long it was.
pub(crate) async fn drink(body: &mut RecvStream) -> usize {
    let mut offset = 0;
    while let Some(chunk) = body.data().await {
        let chunk = chunk.expect("data");
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            let want = pattern(offset, rest.len());
            assert!(rest.starts_with(&want), "not what was sent, near byte {offset}");
            offset += want.len();
            rest = &rest[want.len()..];
        }
        body.flow_control().release_capacity(chunk.len()).unwrap();
    }
    offset
}
