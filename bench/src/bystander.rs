//! The one who only wants its calls answered.

use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsConnector;
use tunnel::box_io::BoxIo;
use tunnel::bridge::grpc_status;
use tunnel::tls::{Trust, client_config};
use tunnel::wire::{HUB_REASON, HUB_TOKEN, NAME};

use crate::args::{Kind, Load};
use crate::sample::Sample;
use crate::world::Address;

/// A call that takes longer counts as failed: a thousand times what it takes alone.
const CALL_DEADLINE: Duration = Duration::from_secs(1);
/// After a failure, so that failing calls are not counted by the ten thousand.
const FAILURE_PAUSE: Duration = Duration::from_millis(5);
/// Between two calls of the paced load.
const PACE: Duration = Duration::from_millis(5);
/// The message that is echoed: a length and 59 bytes.
pub(crate) const MESSAGE: &[u8] = &[0x2a; 64];

/// Calls one name over one connection, and opens another if that is lost.
pub(crate) struct Bystander {
    hub: Address,
    request: Request<()>,
    /// How many bytes come back.
    echoed: usize,
    connection: Mutex<Option<SendRequest<Bytes>>>,
}

impl Bystander {
    /// Connects with its first call.
    pub(crate) fn new(
        hub: Address,
        name: &str,
        token: Option<&str>,
        upstream: Kind,
    ) -> Result<Rc<Self>> {
        let mut request =
            Request::post(format!("{}://{}/bench.Bench/Echo", hub.scheme(), hub.address))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header(NAME, name)
                .body(())?;
        if let Some(token) = token {
            request.headers_mut().insert(HUB_TOKEN, token.parse()?);
        }
        // nginx cannot echo.
        let echoed = if upstream == Kind::Nginx { 0 } else { MESSAGE.len() };
        Ok(Rc::new(Self { hub, request, echoed, connection: Mutex::new(None) }))
    }

    /// Calls for so long. To be run within a `LocalSet`.
    pub(crate) async fn calls(self: &Rc<Self>, load: Load, length: Duration) -> Sample {
        match load {
            Load::One => self.closed(1, length).await,
            Load::Four => self.closed(4, length).await,
            Load::Paced => self.paced(length).await,
        }
    }

    async fn closed(self: &Rc<Self>, loops: usize, length: Duration) -> Sample {
        let until = Instant::now() + length;
        let mut all = JoinSet::new();
        for _ in 0..loops {
            let this = self.clone();
            all.spawn_local(async move {
                let mut sample = Sample::default();
                while Instant::now() < until {
                    let call = this.timed(Instant::now()).await;
                    let failed = call.is_err();
                    sample.add(call);
                    if failed {
                        sleep(FAILURE_PAUSE).await;
                    }
                }
                sample
            });
        }
        let mut sample = Sample::default();
        all.join_all().await.iter().for_each(|one| sample.merge(one));
        sample
    }

    async fn paced(self: &Rc<Self>, length: Duration) -> Sample {
        let until = Instant::now() + length;
        let mut ticks = interval(PACE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut all = JoinSet::new();
        while Instant::now() < until {
            ticks.tick().await;
            let this = self.clone();
            all.spawn_local(async move { this.timed(Instant::now()).await });
        }
        let mut sample = Sample::default();
        all.join_all().await.into_iter().for_each(|call| sample.add(call));
        sample
    }

    /// One call, and how long after `since` it ended.
    async fn timed(&self, since: Instant) -> Result<Duration, String> {
        let call = timeout(CALL_DEADLINE, self.call()).await;
        let call = call.unwrap_or_else(|_| Err("no answer in 1 s".into()));
        call.map(|()| since.elapsed())
    }

    async fn call(&self) -> Result<(), String> {
        let streams = self.streams().await.map_err(|error| format!("no connection: {error}"))?;
        match self.echo(streams).await {
            Ok(answer) => self.judge(&answer),
            Err(error) => {
                if !error.is_reset() {
                    *self.connection.lock().await = None;
                }
                Err(error.to_string())
            }
        }
    }

    async fn streams(&self) -> Result<SendRequest<Bytes>> {
        let mut slot = self.connection.lock().await;
        if let Some(streams) = &*slot {
            return Ok(streams.clone());
        }
        let (streams, connection) = h2::client::handshake(self.connect().await?).await?;
        // How it ends, each call on it learns by itself.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(slot.insert(streams).clone())
    }

    async fn connect(&self) -> Result<BoxIo> {
        let tcp = TcpStream::connect(self.hub.address).await?;
        tcp.set_nodelay(true)?;
        let Some(cert) = &self.hub.cert else {
            return Ok(Box::new(tcp));
        };
        let config = client_config(&Trust::CaFile(cert.clone()), &[b"h2"])?;
        let name = self.hub.address.ip().into();
        Ok(Box::new(TlsConnector::from(config).connect(name, tcp).await?))
    }

    async fn echo(&self, streams: SendRequest<Bytes>) -> Result<Answer, h2::Error> {
        let mut streams = streams.ready().await?;
        let (response, mut send) = streams.send_request(self.request.clone(), false)?;
        send.send_data(Bytes::from_static(MESSAGE), true)?;
        let (head, mut body) = response.await?.into_parts();
        let mut bytes = 0;
        while let Some(data) = body.data().await.transpose()? {
            bytes += data.len();
            // Fails only after a reset, of which the next read tells.
            let _ = body.flow_control().release_capacity(data.len());
        }
        let trailers = body.trailers().await?;
        let grpc = trailers.as_ref().and_then(grpc_status).or_else(|| grpc_status(&head.headers));
        let reason = head.headers.get(HUB_REASON);
        let reason = reason.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
        Ok(Answer { http: head.status.as_u16(), grpc, reason, bytes })
    }

    /// Whether it is the echo.
    fn judge(&self, answer: &Answer) -> Result<(), String> {
        match answer {
            Answer { reason: Some(reason), .. } => Err(format!("refused: {reason}")),
            Answer { http: 200, grpc: Some(0), bytes, .. } if *bytes == self.echoed => Ok(()),
            Answer { http, grpc, bytes, .. } => {
                Err(format!("HTTP {http}, grpc-status {grpc:?}, {bytes} bytes"))
            }
        }
    }
}

/// What came back.
struct Answer {
    http: u16,
    grpc: Option<u16>,
    /// Set if the hub answered itself.
    reason: Option<String>,
    bytes: usize,
}
