//! Asks a proxy for a connection to somebody else.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Ready, pending, ready};
use std::io;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SERVER};
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::Proxy;
use crate::connect::connect;
use crate::limits::{ANSWER_HEAD, SOCKS_BYTES};
use crate::wire::words;

const REJECTED: &str = "it does not take these credentials";
const UNSPOKEN: &str = "in a way that is not spoken here, which is Basic";

/// Why there is no connection through a proxy. Its deadline is the caller's.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The proxy itself is not there.
    #[error("cannot connect to the proxy {proxy}: {error}")]
    Connect {
        /// Which.
        proxy: String,
        /// What the system says.
        error: io::Error,
    },
    /// It has no use for these credentials, or for somebody without.
    #[error("the proxy {proxy} wants to know who is there: {advice}")]
    Credentials {
        /// Which.
        proxy: String,
        /// What to do.
        advice: &'static str,
    },
    /// It sends on, as portals do that one has to log in to, and servers that are no proxies.
    #[error(
        "the proxy {proxy} answers with a redirect to {location}: is it a proxy, and is nobody to log in first?"
    )]
    Redirect {
        /// Which.
        proxy: String,
        /// Where to.
        location: String,
    },
    /// It makes no such connection.
    #[error("the proxy {proxy} does not connect to {to}: {why}")]
    Refused {
        /// Which.
        proxy: String,
        /// Whom it was asked for.
        to: String,
        /// Its own words.
        why: String,
    },
}

impl ProxyError {
    /// Whether somebody has to change something before it may work.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Credentials { .. } | Self::Redirect { .. })
    }
}

impl Proxy {
    /// A connection to this host and port through the proxy, which looks the name up.
    ///
    /// # Errors
    /// The proxy is not there, or makes no such connection.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ProxyError> {
        let tcp = connect(self.host(), self.port()).await;
        let tcp = tcp.map_err(|error| ProxyError::Connect { proxy: self.to_string(), error })?;
        let to =
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        if self.is_socks() { self.socks(tcp, to).await } else { self.http(tcp, to).await }
    }

    async fn socks(&self, tcp: TcpStream, to: String) -> Result<TcpStream, ProxyError> {
        let said =
            self.intercept.raw_auth().map_or(0, |(user, password)| user.len() + password.len());
        if said + to.len() > SOCKS_BYTES {
            return Err(self.refused(&to, "user, password and host are too long for SOCKS5".into()));
        }
        let socks = SocksV5::new(self.intercept.uri().clone(), Connected(Some(TokioIo::new(tcp))));
        let mut socks = match self.intercept.raw_auth() {
            Some((user, password)) => socks.with_auth(user.to_owned(), password.to_owned()),
            None => socks,
        };
        let target = format!("https://{to}").parse::<Uri>();
        let target = target.map_err(|error| self.refused(&to, error.to_string()))?;
        match socks.call(target).await {
            Ok(io) => Ok(io.into_inner()),
            Err(error) => Err(self.socks_refused(&to, &error.to_string())),
        }
    }

    /// The library's words for a proxy that wants a password and gets none say the reverse (hyper-util 0.1.21).
    fn socks_refused(&self, to: &str, why: &str) -> ProxyError {
        let advice = match self.intercept.raw_auth() {
            None if why.contains("does not support user/pass") => {
                "say socks5h://user:password@host:port"
            }
            Some(_) if why.contains("credentials not accepted") => REJECTED,
            _ => return self.refused(to, why.to_owned()),
        };
        ProxyError::Credentials { proxy: self.to_string(), advice }
    }

    async fn http(&self, tcp: TcpStream, to: String) -> Result<TcpStream, ProxyError> {
        let failed = |error: hyper::Error| self.refused(&to, last_word(&error));
        let mut connecting = http1::Builder::new();
        connecting.title_case_headers(true).max_buf_size(ANSWER_HEAD);
        let (mut sender, connection) =
            connecting.handshake(TokioIo::new(tcp)).await.map_err(failed)?;
        let asks = async {
            let response = sender.send_request(self.request(&to)?).await.map_err(failed)?;
            if !response.status().is_success() {
                return Err(self.answered(&to, response.status(), response.headers()));
            }
            hyper::upgrade::on(response).await.map_err(failed)
        };
        let upgraded = tokio::select! {
            upgraded = asks => upgraded?,
            never = driven(connection) => match never {},
        };
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            Ok(parts) if parts.read_buf.is_empty() => Ok(parts.io.into_inner()),
            _ => Err(self.refused(&to, "it says more than that it does".to_owned())),
        }
    }

    fn request(&self, to: &str) -> Result<Request<Empty<Bytes>>, ProxyError> {
        let mut request = Request::builder().method(Method::CONNECT).uri(to).header("host", to);
        if let Some(credentials) = self.intercept.basic_auth() {
            request = request.header(PROXY_AUTHORIZATION, credentials);
        }
        request.body(Empty::new()).map_err(|error| self.refused(to, error.to_string()))
    }

    /// It has said something else than 200.
    fn answered(&self, to: &str, status: StatusCode, headers: &HeaderMap) -> ProxyError {
        let proxy = self.to_string();
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let asks = headers.get_all(PROXY_AUTHENTICATE).iter();
            let mut asks =
                asks.filter_map(|value| value.to_str().ok()).map(str::to_ascii_lowercase);
            let advice = match self.intercept.basic_auth() {
                Some(_) if asks.all(|asks| !asks.contains("basic")) => UNSPOKEN,
                Some(_) => REJECTED,
                None => "say http://user:password@host:port",
            };
            return ProxyError::Credentials { proxy, advice };
        }
        if status.is_redirection() {
            let location = words(headers, &LOCATION).unwrap_or_else(|| "nowhere".to_owned());
            return ProxyError::Redirect { proxy, location };
        }
        let by = words(headers, &SERVER).map(|server| format!(", by {server}")).unwrap_or_default();
        self.refused(to, format!("HTTP {}{by}", status.as_u16()))
    }

    fn refused(&self, to: &str, why: String) -> ProxyError {
        ProxyError::Refused { proxy: self.to_string(), to: to.to_owned(), why }
    }
}

/// For ever: what becomes of it is told where its answer is waited for.
async fn driven(connection: http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>) -> Infallible {
    let _ = connection.with_upgrades().await;
    pending().await
}

/// hyper's own words say that something failed, the last ones why.
fn last_word(error: &dyn Error) -> String {
    error.source().map_or_else(|| error.to_string(), last_word)
}

/// The one connection that there is, for a library that would make it.
struct Connected(Option<TokioIo<TcpStream>>);

impl Service<Uri> for Connected {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _proxy: Uri) -> Self::Future {
        ready(self.0.take().ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
