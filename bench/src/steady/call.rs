//! Calls, each to its one end: unary ones, and streams.

use std::time::Duration;

use bytes::BytesMut;
use http::HeaderValue;
use tokio::time::{Instant, sleep, timeout_at};

use crate::Shared;
use crate::args::Args;
use crate::attempt::{self, Failure, Target};
use crate::channel::Channel;
use crate::tally::Kind;

/// After a stream that was lost, so that streams which are refused are not counted by the thousand.
const PAUSE: Duration = Duration::from_millis(100);

/// Who calls whom over which connection.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) channel: Channel,
    pub(crate) name: Option<HeaderValue>,
}

impl Shared {
    /// One unary call that was due at this time.
    pub(crate) async fn unary(&self, way: &Way, due: Instant) {
        let call = self.tally.lock().begun(Kind::Unary);
        let target = self.target(way, "/bench.Bench/Echo", due + self.args.deadline);
        let made = self.make(&target, || self.echo(&target, way, call)).await;
        self.tally.lock().ended(Kind::Unary, call, due, target.deadline, made);
    }

    /// Streams, one after the other, until it is time to stop.
    pub(crate) async fn streams(&self, way: &Way) {
        while !self.is_stopped() {
            let (call, begun) = (self.tally.lock().begun(Kind::Stream), Instant::now());
            let life = self.args.stream_life;
            let target = self.target(way, "/bench.Bench/Mirror", begun + life + self.args.deadline);
            let made = self.make(&target, || self.mirror(&target, way, call, begun + life)).await;
            let is_lost = made.is_err();
            self.tally.lock().ended(Kind::Stream, call, begun, target.deadline, made);
            if is_lost {
                sleep(PAUSE).await;
            }
        }
    }

    fn target<'a>(&'a self, way: &'a Way, path: &'static str, deadline: Instant) -> Target<'a> {
        let Args { address, token, .. } = &self.args;
        let (name, token) = (way.name.as_ref(), token.as_ref());
        Target { address: *address, name, token, path, deadline }
    }

    /// Makes a call, and again as gRPC's clients do by themselves: what never left as often as it takes, what a server
    /// has refused once. At its deadline it is cut off.
    async fn make<F: Future<Output = Result<(), Failure>>>(
        &self,
        target: &Target<'_>,
        attempt: impl Fn() -> F,
    ) -> Result<(), String> {
        let made = timeout_at(target.deadline, async {
            let mut may_be_refused = true;
            loop {
                match attempt().await {
                    Ok(()) => return Ok(()),
                    Err(Failure::Lost(why)) => return Err(why),
                    Err(Failure::Unprocessed { why, was_sent }) => {
                        if was_sent && !std::mem::take(&mut may_be_refused) {
                            return Err(format!("{why}, twice"));
                        }
                        self.tally.lock().retried(why);
                    }
                }
            }
        });
        made.await.unwrap_or_else(|_| Err("DeadlineExceeded".to_owned()))
    }

    /// A message, and the same back.
    async fn echo(&self, target: &Target<'_>, way: &Way, call: u64) -> Result<(), Failure> {
        let mut begun = target.begin(&way.channel).await?;
        let message = attempt::message(call, 0);
        attempt::say(&mut begun.send, message.clone(), true);
        let (_send, mut body) = begun.head().await?;
        let mut heard = BytesMut::new();
        match attempt::hear(&mut body, &mut heard, message.len()).await? {
            Some(answer) if answer == message => attempt::end(body, heard).await,
            Some(_) => attempt::wrong(),
            None => attempt::end(body, heard).await.and_then(|()| attempt::wrong()),
        }
    }

    /// A message at a time, each when the one before has come back, until this time or until it is time to stop.
    async fn mirror(
        &self,
        target: &Target<'_>,
        way: &Way,
        call: u64,
        until: Instant,
    ) -> Result<(), Failure> {
        let mut begun = target.begin(&way.channel).await?;
        let mut sent = Instant::now();
        attempt::say(&mut begun.send, attempt::message(call, 0), false);
        let (mut send, mut body) = begun.head().await?;
        let mut heard = BytesMut::new();
        for number in 0.. {
            let message = attempt::message(call, number);
            if number > 0 {
                sent = Instant::now();
                attempt::say(&mut send, message.clone(), false);
            }
            match attempt::hear(&mut body, &mut heard, message.len()).await? {
                Some(answer) if answer == message => self.tally.lock().message(sent.elapsed()),
                Some(_) => return attempt::wrong(),
                None => return attempt::end(body, heard).await.and_then(|()| attempt::wrong()),
            }
            if Instant::now() >= until || self.is_stopped() {
                break;
            }
            sleep(self.args.message_every).await;
        }
        attempt::say(&mut send, bytes::Bytes::new(), true);
        attempt::end(body, heard).await
    }
}
