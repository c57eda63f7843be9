//! Serves a program's admin listener: short answers over HTTP/1.1, for probes and scrapers.

use std::convert::Infallible;
use std::pin::pin;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::limits::{ACCEPT_PAUSE, ADMIN_CONNECTION_AGE, ADMIN_CONNECTIONS, ADMIN_SILENCE};

/// What a body may break off with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Serves it, for ever. At most [`ADMIN_CONNECTIONS`] at once are served; they end with this.
pub async fn serve<A, F, B>(listener: &TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < ADMIN_CONNECTIONS => match accepted {
                Ok((socket, _)) => drop(connections.spawn(serve_connection(socket, answer.clone()))),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection<A, F, B>(socket: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Error: Into<BoxError>> + 'static,
{
    let answer = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ADMIN_SILENCE)
        .serve_connection(TokioIo::new(socket), answer);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = sleep(ADMIN_CONNECTION_AGE) => {
            connection.as_mut().graceful_shutdown();
            timeout(ADMIN_SILENCE, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        debug!(%error, "admin connection failed");
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;

    const REQUEST: &[u8] = b"GET /path HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

    /// A listener that answers with the path.
    async fn start() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("a port")
    }

    async fn ask(listener: &TcpListener) -> String {
        let address = listener.local_addr().expect("bound");
        let mut socket = TcpStream::connect(address).await.expect("room");
        socket.write_all(REQUEST).await.expect("sent");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.expect("an orderly end");
        answer
    }

    async fn path(request: Request<Incoming>) -> Response<String> {
        Response::new(request.uri().path().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_makes_room_for_others() {
        let listener = start().await;
        let address = listener.local_addr().expect("bound");
        let asks = async {
            let mut silent = Vec::new();
            for _ in 0..ADMIN_CONNECTIONS {
                silent.push(TcpStream::connect(address).await.expect("room"));
            }
            let start = Instant::now();
            let answer = ask(&listener).await;
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
            assert!(answer.ends_with("\r\n\r\n/path"), "{answer}");
            assert!(start.elapsed() >= ADMIN_SILENCE, "{:?}", start.elapsed());
        };
        tokio::select! {
            () = serve(&listener, path) => {}
            () = asks => {}
        }
    }
}
