//! How cases end: everything finished and nothing missing, or one of the connections lost.

use tokio::time::{Instant, timeout};

use super::call::Fate;
use super::run::Run;
use super::say::PLAIN_WIRE;
use super::step::{CALLS, Form, Side};
use crate::support::peer::Broken;

impl Run<'_> {
    /// Brings every call to a good end. Then nothing of any window may be missing.
    pub(super) async fn finish(&mut self) -> Result<(), Broken> {
        self.open_windows().await?;
        self.check_returned().await?;
        for at in 0..self.calls.len() {
            self.say_data(Side::Client, at, 0, None, true);
        }
        self.gate(Side::Client).await?;
        for at in 0..self.calls.len() {
            if self.calls[at].fate == Fate::Spliced {
                self.say_head(Side::Upstream, at, true, PLAIN_WIRE);
                self.say_data(Side::Upstream, at, 0, None, true);
            }
        }
        self.gate(Side::Upstream).await?;
        if self.client_leaves || self.upstream_leaves { Ok(()) } else { self.probe().await }
    }

    /// Makes room on both sides for all that was said.
    pub(super) async fn open_windows(&mut self) -> Result<(), Broken> {
        for side in [Side::Client, Side::Upstream] {
            for at in 0..self.calls.len() {
                self.make_room(side, at);
            }
            self.widen(side);
            self.gate(side).await?;
        }
        Ok(())
    }

    /// A hub gives a stream's window back once the other side has taken the bytes: it may keep a third,
    /// below which `h2` sends no update.
    pub(super) async fn check_returned(&mut self) -> Result<(), Broken> {
        let deadline = Instant::now() + self.patience;
        while let Some(missing) = self.not_returned() {
            let Ok(heard) = timeout(deadline - Instant::now(), self.pair.hear()).await else {
                return Err(format!("not given back: {missing}"));
            };
            heard?;
        }
        Ok(())
    }

    pub(super) fn not_returned(&self) -> Option<String> {
        for side in [Side::Client, Side::Upstream] {
            for (at, call) in self.calls.iter().enumerate() {
                let other = call.said(side.other());
                let open = call.fate == Fate::Spliced && other.reset.is_none();
                let Some((_, heard)) = self.heard(side, at) else {
                    continue;
                };
                let kept = self.peer_ref(side).hub_window - heard.allowance;
                if open
                    && self.may_speak(side, at).is_some()
                    && kept * 3 > self.peer_ref(side).hub_window + 3
                {
                    return Some(format!("{kept} bytes of {side:?}: {call:?}"));
                }
            }
        }
        None
    }

    /// One more call gets all that is left of both connections' windows: nothing of them is tied up in calls that
    /// are over.
    pub(super) async fn probe(&mut self) -> Result<(), Broken> {
        let at = self.begin(CALLS, Form::Grpc);
        self.say_head(Side::Client, at, false, PLAIN_WIRE);
        self.gate(Side::Client).await?;
        self.say_head(Side::Upstream, at, false, PLAIN_WIRE);
        self.gate(Side::Upstream).await?;
        for side in [Side::Client, Side::Upstream] {
            let left = self.peer(side.other()).room as usize;
            let (stream, _) = self.heard(side.other(), at).ok_or("no stream")?;
            self.peer(side.other()).grant(stream, left as u32);
            self.gate(side.other()).await?;
            self.pour(side, at, left).await?;
            let left = self.peer(side.other()).room;
            if left != 0 {
                return Err(format!("{left} bytes of a connection's window left after {side:?}"));
            }
        }
        Ok(())
    }

    /// Says this much as a hub's windows allow.
    pub(super) async fn pour(
        &mut self,
        side: Side,
        at: usize,
        mut bytes: usize,
    ) -> Result<(), Broken> {
        while bytes > 0 {
            let chunk = bytes.min(16_384);
            let (stream, _) = self.heard(side, at).ok_or("no stream")?;
            if self.peer(side).allows(stream, chunk) {
                self.say_data(side, at, chunk, None, false);
                bytes -= chunk;
                if bytes > 0 {
                    continue;
                }
            }
            self.gate(side).await?;
        }
        Ok(())
    }

    /// The client's connection is lost: whatever still runs is cancelled.
    pub(super) async fn lose_client(&mut self) -> Result<(), Broken> {
        for call in &mut self.calls {
            if call.client.reset.is_none() {
                call.given_up(self.pair.client.heard(call.client_stream));
            }
            if call.fate == Fate::Spliced {
                // The rest of the request may arrive or not.
                call.fate = Fate::Over;
            }
            call.client.reset = Some(0);
        }
        self.lost = Some(Side::Client);
        self.pair.client.cut().await;
        self.settle().await
    }

    /// The lane is lost: the client is told, after all that came before.
    pub(super) async fn lose_session(&mut self) -> Result<(), Broken> {
        self.lost = Some(Side::Upstream);
        self.pair.upstream.cut().await;
        for call in &mut self.calls {
            if call.fate == Fate::Spliced {
                call.fate = Fate::SessionLost;
            }
        }
        for at in 0..self.calls.len() {
            self.make_room(Side::Client, at);
        }
        self.widen(Side::Client);
        self.gate(Side::Client).await
    }

    pub(super) fn judge_contents(&self) -> Result<(), Broken> {
        for (at, call) in self.calls.iter().enumerate() {
            for side in [Side::Client, Side::Upstream] {
                if let Some((_, heard)) = self.heard(side, at) {
                    call.judge_content(side.other(), heard)?;
                }
            }
        }
        Ok(())
    }
}
