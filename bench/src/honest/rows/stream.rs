//! One long stream of small messages, each of which is sent back.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, anyhow};
use bench::sample::Sample;
use h2::{RecvStream, SendStream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use crate::args::Table;
use crate::caller::{Ask, Caller, Target, message, refused};
use crate::outcome::{Outcome, Verdict, failure, millis};
use crate::server::ECHO;
use crate::servers::{Running, Server};
use crate::site::Site;

/// Between two messages.
const PACE: Duration = Duration::from_millis(10);
/// How long the last ones may take.
const LATEST: Duration = Duration::from_secs(5);
/// Bytes of a message, and as gRPC frames it.
const LENGTH: u8 = 20;
const FRAMED: usize = LENGTH as usize + 5;
/// How much later p99 may come through the hub.
const MORE_MS: f64 = 2.0;

/// Both streams at the same time, so that what the machine does besides meets both.
pub(super) async fn measure(table: &Table) -> Result<Outcome> {
    let server = Running::start(table, Server::Tonic)?;
    let mut site = Site::start(table, &[])?;
    site.agent("stream", server.address)?;
    let length = table.length();
    let (direct, hub) =
        tokio::join!(echoes(server.target(), length), echoes(site.target("stream"), length));
    let mut ways = Vec::from_iter(site.dead().or_else(|| failure(&hub)));
    let [direct_99, hub_99] = [&direct, &hub].map(|sample| sample.quantile(0.99));
    if hub_99.unwrap_or(f64::INFINITY) > direct_99.unwrap_or(f64::INFINITY) + MORE_MS {
        ways.push("p99".to_owned());
    }
    let told = |sample: &Sample| format!("{} back; {}", sample.calls(), millis(sample));
    Ok(Outcome { direct: told(&direct), hub: told(&hub), verdict: Verdict::of(ways) })
}

/// How late each message came back.
async fn echoes(target: Target, length: Duration) -> Sample {
    let mut sample = Sample::default();
    if let Err(error) = chat(target, length, &mut sample).await {
        sample.add(Err(error.to_string()));
    }
    sample
}

async fn chat(target: Target, length: Duration, sample: &mut Sample) -> Result<()> {
    let caller = Caller::new(target);
    let mut open =
        caller.open(&Ask::grpc(ECHO, LENGTH), None).await.map_err(|error| anyhow!(error))?;
    let until = Instant::now() + length;
    // Some servers say their head only with their first message.
    let mut sent = VecDeque::from([Instant::now()]);
    open.send.send_data(message(LENGTH), false)?;
    let response = open.response.await?;
    refused(response.headers()).map_err(|error| anyhow!(error))?;
    let mut back = Back { body: response.into_body(), bytes: 0 };
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while Instant::now() < until {
        tokio::select! {
            biased;
            came = back.messages() => take(came?, &mut sent, sample),
            _ = ticks.tick() => {
                open.send.send_data(message(LENGTH), false)?;
                sent.push_back(Instant::now());
            }
        }
    }
    rest(open.send, back, sent, sample).await
}

/// Waits for those under way.
async fn rest(
    mut send: SendStream<bytes::Bytes>,
    mut back: Back,
    mut sent: VecDeque<Instant>,
    sample: &mut Sample,
) -> Result<()> {
    let until = Instant::now() + LATEST;
    while !sent.is_empty() {
        match timeout_at(until, back.messages()).await {
            Ok(came) => take(came?, &mut sent, sample),
            Err(_) => return Err(anyhow!("{} messages did not come back", sent.len())),
        }
    }
    send.send_data(bytes::Bytes::new(), true)?;
    Ok(())
}

fn take(count: usize, sent: &mut VecDeque<Instant>, sample: &mut Sample) {
    let now = Instant::now();
    sent.drain(..count.min(sent.len())).for_each(|then| sample.add(Ok(now - then)));
}

/// What comes back.
struct Back {
    body: RecvStream,
    /// Of a message that is not complete.
    bytes: usize,
}

impl Back {
    /// How many messages have come when the next bytes have.
    async fn messages(&mut self) -> Result<usize> {
        let data = self.body.data().await.ok_or_else(|| anyhow!("the stream has ended"))??;
        self.body.flow_control().release_capacity(data.len())?;
        self.bytes += data.len();
        let complete = self.bytes / FRAMED;
        self.bytes %= FRAMED;
        Ok(complete)
    }
}
