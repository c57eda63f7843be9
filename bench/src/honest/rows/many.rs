//! More long streams than the server allows on one connection.

use std::time::Duration;

use anyhow::Result;
use bench::sample::Sample;
use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::args::Table;
use crate::caller::{Ask, Target, connect, message, refused, request};
use crate::outcome::{Outcome, Verdict, failure, more_lost};
use crate::server::ECHO;
use crate::servers::{Running, Server};
use crate::site::Site;

/// How many at once.
const STREAMS: usize = 200;
/// What the server allows one connection.
pub(crate) const ALLOWED: u32 = 100;
/// How long each may take to be served.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until the server's SETTINGS are here, for certain.
const SETTLE: Duration = Duration::from_millis(200);

/// Opens them all, and talks on each when all are open.
pub(super) async fn measure(table: &Table) -> Result<Outcome> {
    let server = Running::start(table, Server::Limit100)?;
    let mut site = Site::start(table, &[])?;
    site.agent("many", server.address)?;
    let direct = streams(&server.target()).await;
    let hub = streams(&site.target("many")).await;
    let mut ways = Vec::from_iter(site.dead());
    if more_lost(direct.sample.failed(), hub.sample.failed()) {
        ways.extend(failure(&hub.sample));
    }
    Ok(Outcome { direct: direct.told(), hub: hub.told(), verdict: Verdict::of(ways) })
}

struct Served {
    sample: Sample,
    connections: usize,
}

impl Served {
    fn told(&self) -> String {
        let served = self.sample.calls();
        format!("{served} of {STREAMS} served, on {} connections", self.connections)
    }
}

async fn streams(target: &Target) -> Served {
    let mut connections = Connections { target: target.clone(), all: Vec::new() };
    let mut first = JoinSet::new();
    for _ in 0..STREAMS {
        let streams = connections.free().await;
        let target = target.clone();
        first.spawn(async move { begin(&target, streams?).await });
    }
    let mut sample = Sample::default();
    let mut second = JoinSet::new();
    for stream in first.join_all().await {
        match stream {
            Ok(stream) => drop(second.spawn(again(stream))),
            Err(why) => sample.add(Err(why)),
        }
    }
    second.join_all().await.into_iter().for_each(|served| sample.add(served));
    Served { sample, connections: connections.all.len() }
}

/// As many connections as it takes.
struct Connections {
    target: Target,
    /// And how many streams are on each.
    all: Vec<(SendRequest<Bytes>, usize)>,
}

impl Connections {
    /// One with room for a stream, as its peer's SETTINGS say.
    async fn free(&mut self) -> Result<SendRequest<Bytes>, String> {
        let mut all = self.all.iter_mut();
        if let Some(free) = all.find(|(streams, used)| *used < streams.current_max_send_streams()) {
            free.1 += 1;
            return Ok(free.0.clone());
        }
        let streams = connect(self.target.address).await?;
        sleep(SETTLE).await;
        self.all.push((streams.clone(), 1));
        Ok(streams)
    }
}

type Stream = (SendStream<Bytes>, RecvStream);

async fn begin(target: &Target, mut streams: SendRequest<Bytes>) -> Result<Stream, String> {
    let ask = Ask::grpc(ECHO, 1);
    let request = request(target, &ask, None).map_err(|error| error.to_string())?;
    let begun = async {
        let (response, mut send) = streams.send_request(request, false)?;
        send.send_data(message(1), false)?;
        Ok((send, response.await?))
    };
    let begun = timeout(PATIENCE, begun).await.map_err(|_| "not served in 10 s")?;
    let (send, response) = begun.map_err(|error: h2::Error| error.to_string())?;
    refused(response.headers())?;
    let mut body = response.into_body();
    came(&mut body).await?;
    Ok((send, body))
}

/// Another message, when all streams have begun.
async fn again((mut send, mut body): Stream) -> Result<Duration, String> {
    let since = Instant::now();
    send.send_data(message(1), true).map_err(|error| error.to_string())?;
    came(&mut body).await?;
    Ok(since.elapsed())
}

async fn came(body: &mut RecvStream) -> Result<(), String> {
    let data = timeout(PATIENCE, body.data()).await.map_err(|_| "no message in 10 s")?;
    let data = data.ok_or("the stream has ended")?.map_err(|error| error.to_string())?;
    body.flow_control().release_capacity(data.len()).map_err(|error| error.to_string())
}
