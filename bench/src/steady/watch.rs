//! Somebody who holds a Watch of the hub's health, and begins it anew when it ends.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, sleep};

use crate::Shared;
use crate::attempt::{self, Failure, Target};
use crate::channel::Channel;

/// After one that has ended.
const PAUSE: Duration = Duration::from_millis(100);
/// Longer than anything here runs.
const LONG: Duration = Duration::from_secs(24 * 3600);
/// An empty message: the health of the hub itself.
const ITSELF: &[u8] = &[0; 5];
/// How long each answer is: a message with one small number.
const ANSWER: usize = 7;

impl Shared {
    /// Holds a Watch, for ever.
    pub(crate) async fn watch(&self) {
        let channel = Channel::new(self.args.address, self.args.redial);
        loop {
            if let Err(failure) = self.watch_once(&channel).await {
                let why = match failure {
                    Failure::Lost(why) => why,
                    Failure::Unprocessed { why, .. } => why.to_owned(),
                };
                self.tally.lock().watch(why);
            }
            sleep(PAUSE).await;
        }
    }

    async fn watch_once(&self, channel: &Channel) -> Result<(), Failure> {
        let deadline = Instant::now() + LONG;
        let path = "/grpc.health.v1.Health/Watch";
        let target = Target { address: self.args.address, name: None, token: None, path, deadline };
        let mut begun = target.begin(channel).await?;
        attempt::say(&mut begun.send, Bytes::from_static(ITSELF), true);
        let (_send, mut body) = begun.head().await?;
        let mut heard = BytesMut::new();
        while attempt::hear(&mut body, &mut heard, ANSWER).await?.is_some() {
            self.tally.lock().watch("answers".to_owned());
        }
        attempt::end(body, heard).await
    }
}
