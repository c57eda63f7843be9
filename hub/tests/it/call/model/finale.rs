//! How cases end: everything finished and nothing missing, or one of the connections lost.

use tokio::time::{Instant, timeout};

use super::call::{CANCEL, Fate};
use super::run::Run;
use super::say::PLAIN_WIRE;
use super::step::{CALLS, Form, Side};
use crate::support::peer::Broken;

/// The windows that a hub gives its client and a lane, and what streams begin with.
const CLIENT_WINDOW: i64 = 1 << 20;
const LANE_WINDOW: i64 = 65_535;
const FIRST_WINDOW: i64 = 65_535;

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

    /// Nothing that either side may send is missing, and no more is promised than the other side takes.
    pub(super) async fn check_returned(&mut self) -> Result<(), Broken> {
        let deadline = Instant::now() + self.patience;
        while let Some(missing) = self.not_returned() {
            let Ok(heard) = timeout(deadline - Instant::now(), self.pair.hear()).await else {
                return Err(format!("windows: {missing}"));
            };
            heard?;
        }
        Ok(())
    }

    /// A hub gives windows back when half of them is used: the connection's, as nothing waits any more, and
    /// those of streams as the other end has room.
    pub(super) fn not_returned(&self) -> Option<String> {
        for (side, window) in [(Side::Client, CLIENT_WINDOW), (Side::Upstream, LANE_WINDOW)] {
            let peer = self.peer_ref(side);
            if !peer.ended && peer.allowance * 2 <= window {
                return Some(format!("{} bytes are all of {side:?}'s connection", peer.allowance));
            }
            for at in 0..self.calls.len() {
                if let Some(wrong) = self.wrong_window(side, at) {
                    return Some(format!("{side:?}: {wrong}: {:?}", self.calls[at]));
                }
            }
        }
        None
    }

    /// What is wrong with what a side may send on the call's stream.
    fn wrong_window(&self, side: Side, at: usize) -> Option<String> {
        let call = &self.calls[at];
        let is_open = call.fate == Fate::Spliced && call.said(side.other()).reset.is_none();
        if !is_open || self.may_speak(side, at).is_none() {
            return None;
        }
        let ((_, sender), (_, receiver)) = (self.heard(side, at)?, self.heard(side.other(), at)?);
        let (allowance, told, room) = (sender.allowance, sender.told, receiver.room);
        if allowance <= told / 2 && allowance < room {
            return Some(format!("{allowance} bytes of {told}, where {room} are taken"));
        }
        let most = match side {
            // Where the agent seems far, as any may on a busy machine, a hub is ahead of its client by the lane's
            // window, of which less than half is used.
            Side::Upstream => room + self.peer_ref(side).allowance * 2,
            // It begins before the hub knows what the upstream takes, and what it was told cannot be taken back.
            Side::Client if call.refused.is_empty() && !self.upstream_has_shrunk => {
                room.max(FIRST_WINDOW - call.client.bytes as i64)
            }
            Side::Client => return None,
        };
        (allowance > most).then(|| format!("{allowance} bytes where {room} are taken"))
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
        let deadline = Instant::now() + self.patience;
        while bytes > 0 {
            let (stream, _) = self.heard(side, at).ok_or("no stream")?;
            if let Some(chunk) = self.fitting(side, stream, bytes.min(16_384), 0) {
                self.say_data(side, at, chunk, None, false);
                bytes -= chunk;
                if bytes > 0 {
                    continue;
                }
            }
            self.gate(side).await?;
            if Instant::now() > deadline {
                return Err(format!("{side:?} is not granted the last {bytes} bytes"));
            }
        }
        Ok(())
    }

    /// The client's connection is lost: whatever still runs is cancelled.
    pub(super) async fn lose_client(&mut self) -> Result<(), Broken> {
        for at in 0..self.calls.len() {
            self.give_up(at);
            self.calls[at].client.reset.get_or_insert(CANCEL);
        }
        self.lost = Some(Side::Client);
        self.pair.client.cut().await;
        self.settle().await
    }

    /// The lane is lost: the client is told, after all that came before.
    pub(super) async fn lose_session(&mut self) -> Result<(), Broken> {
        self.lost = Some(Side::Upstream);
        self.pair.upstream.cut().await;
        for at in 0..self.calls.len() {
            if self.calls[at].fate == Fate::Spliced {
                self.calls[at].fate = Fate::SessionLost;
                if self.calls[at].upstream.reset.is_none() {
                    self.cut_off(at);
                }
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
            for stream in &call.refused {
                call.judge_refused(self.pair.upstream.heard(*stream))?;
            }
        }
        Ok(())
    }
}
