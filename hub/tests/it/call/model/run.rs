//! Drives a case through a hub, and holds what comes out against the model.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tunnel::lanes::ResetCode;

use super::call::Call;
use super::step::{Act, Case, Finale, Side, Step};
use crate::support::hub::Hub;
use crate::support::pair::Pair;
use crate::support::peer::{Broken, Heard, Peer};

/// A case under way.
pub(super) struct Run<'c> {
    pub(super) name: &'c str,
    pub(super) patience: Duration,
    pub(super) pair: Pair,
    pub(super) calls: Vec<Call>,
    pub(super) next_stream: u32,
    /// Who has said GOAWAY.
    pub(super) client_leaves: bool,
    pub(super) upstream_leaves: bool,
    /// Whose connection the test has cut.
    pub(super) lost: Option<Side>,
    /// What each side last said to be the window of its streams, and whether that was ever less than before.
    pub(super) windows: (u32, u32),
    pub(super) upstream_has_shrunk: bool,
    /// By how much the client's windows shrink by what it has said since the last gate.
    pub(super) client_shrinks: i64,
    /// The upstream has made room since then: what it hears before the next gate is open.
    pub(super) upstream_grew: bool,
}

/// Runs a case at a hub under a name of its own. Nothing takes longer than `patience`, unless it hangs.
pub(super) async fn run(
    hub: &Hub,
    name: &str,
    case: &Case,
    patience: Duration,
) -> Result<(), Broken> {
    // Once its lane takes no more calls, there is none.
    let further = ResetCode::Unreachable;
    let pair = Pair::start_with(hub, name, case.client, case.upstream, further).await;
    let mut run = Run {
        name,
        patience,
        pair,
        calls: Vec::new(),
        next_stream: 1,
        client_leaves: false,
        upstream_leaves: false,
        lost: None,
        windows: (case.client.stream_window, case.upstream.stream_window),
        upstream_has_shrunk: false,
        client_shrinks: 0,
        upstream_grew: false,
    };
    let mut steps = case.steps.iter().enumerate().peekable();
    while let Some((at, step)) = steps.next() {
        run.take(step);
        let next = steps.peek().map(|(_, next)| *next);
        let joined = step.together && next.is_some_and(|next| next.side == step.side);
        if !joined || next.is_some_and(|next| run.is_open(next)) {
            let gated = run.gate(step.side).await;
            gated.map_err(|broken| format!("after step {at}, {step:?}: {broken}"))?;
        }
    }
    let ended = match case.finale {
        Finale::Finished => run.finish().await,
        Finale::ClientLost => run.lose_client().await,
        Finale::SessionLost => run.lose_session().await,
    };
    ended.map_err(|broken| format!("{:?}: {broken}", case.finale))?;
    run.judge_contents()
}

impl Run<'_> {
    // --- gates ---

    /// Writes what a side has said, and waits until both have heard all that they can.
    pub(super) async fn gate(&mut self, side: Side) -> Result<(), Broken> {
        self.peer(side).ping().await?;
        (self.client_shrinks, self.upstream_grew) = (0, false);
        self.settle().await
    }

    /// Whether it matters to the step if a hub reads it together with what was said before: a call of which
    /// more was sent meanwhile than is kept is not sent once more.
    fn is_open(&self, step: &Step) -> bool {
        self.upstream_grew && matches!(step.act, Act::Reset { .. })
    }

    /// Makes room on the call's stream for all that is on its way to this side.
    pub(super) fn make_room(&mut self, side: Side, at: usize) {
        let Some((stream, heard)) = self.heard(side, at) else {
            return;
        };
        let room = self.coming(side, at) - heard.room;
        if !heard.ended && heard.reset.is_none() {
            self.grant(side, at, stream, room.max(0) as u32);
        }
    }

    /// Makes so much room on the call's stream.
    pub(super) fn grant(&mut self, side: Side, at: usize, stream: u32, bytes: u32) {
        match side {
            Side::Client => self.calls[at].cut.has_grown |= bytes > 0,
            Side::Upstream => self.upstream_grew = true,
        }
        self.peer(side).grant(stream, bytes);
    }

    /// Makes room on the connection for all that is on its way to this side.
    pub(super) fn widen(&mut self, side: Side) {
        let coming: i64 = (0..self.calls.len()).map(|at| self.coming(side, at)).sum();
        let peer = self.peer(side);
        peer.grant(0, (coming - peer.room).max(0) as u32);
    }

    /// Bytes on their way to this side, and some for a sentence of the hub's.
    pub(super) fn coming(&self, side: Side, at: usize) -> i64 {
        const SENTENCE: i64 = 200;
        let heard = self.heard(side, at).map_or(0, |(_, heard)| heard.body.len());
        SENTENCE + self.calls[at].said(side.other()).bytes.saturating_sub(heard) as i64
    }

    /// Waits until both sides have heard all that they must.
    pub(super) async fn settle(&mut self) -> Result<(), Broken> {
        let deadline = Instant::now() + self.patience;
        while let Some(missing) = self.missing()? {
            let Ok(heard) = timeout(deadline - Instant::now(), self.pair.hear()).await else {
                return Err(format!("hangs: {missing}"));
            };
            heard?;
        }
        Ok(())
    }

    /// What has not been heard yet.
    pub(super) fn missing(&mut self) -> Result<Option<String>, Broken> {
        self.check_connections()?;
        for at in 0..self.calls.len() {
            self.find_upstream_stream(at);
            let call = &self.calls[at];
            let (client, upstream) = (&self.pair.client, &self.pair.upstream);
            let at_client = client.streams.get(&call.client_stream);
            let at_upstream = call.upstream_stream.map(|stream| upstream.heard(stream));
            let say = |broken| {
                format!("{broken}\n{call:?}\nclient: {at_client:?}\nupstream: {at_upstream:?}")
            };
            if call.client.head.is_none() {
                continue;
            }
            // Who has said GOAWAY is left with its last call, and learns of its end by that.
            let left = self.upstream_leaves && upstream.ended;
            let heard = call.judge_request(at_upstream, self.name, upstream.room).map_err(say)?;
            if !heard && !left {
                return Ok(Some(say("request".to_owned())));
            }
            let at_client = at_client.ok_or("an unknown stream")?;
            if !call.judge_response(at_client, client.room).map_err(say)? {
                return Ok(Some(say("response".to_owned())));
            }
        }
        Ok(None)
    }

    /// No connection ends unless this was asked for.
    pub(super) fn check_connections(&self) -> Result<(), Broken> {
        let Pair { client, upstream } = &self.pair;
        // Who has said GOAWAY is left when nothing runs any more.
        let over = self.client_leaves || self.lost == Some(Side::Client);
        if !over && (client.gone_away.is_some() || client.ended) {
            return Err(format!("the client's connection ended: {:?}", client.gone_away));
        }
        // A lane ends with its client.
        let over = self.upstream_leaves || self.client_leaves || self.lost.is_some();
        if !over && (upstream.gone_away.is_some() || upstream.ended) {
            return Err(format!("the lane ended: {:?}", upstream.gone_away));
        }
        Ok(())
    }

    pub(super) fn find_upstream_stream(&mut self, at: usize) {
        let call = &mut self.calls[at];
        if call.upstream_stream.is_some() {
            return;
        }
        let path = (":path".to_owned(), call.path());
        let heads = self.pair.upstream.streams.iter();
        let new = heads.filter(|(stream, _)| !call.refused.contains(stream));
        let mut heads = new.filter_map(|(stream, heard)| Some((stream, heard.head.as_ref()?)));
        let found = heads.find(|(_, head)| head.contains(&path));
        call.upstream_stream = found.map(|(stream, _)| *stream);
    }

    // --- looking ---

    pub(super) fn peer(&mut self, side: Side) -> &mut Peer {
        if side == Side::Client { &mut self.pair.client } else { &mut self.pair.upstream }
    }

    pub(super) fn peer_ref(&self, side: Side) -> &Peer {
        if side == Side::Client { &self.pair.client } else { &self.pair.upstream }
    }

    /// The call's stream on this side, and what was heard on it.
    pub(super) fn heard(&self, side: Side, at: usize) -> Option<(u32, &Heard)> {
        let call = &self.calls[at];
        let stream = match side {
            Side::Client => Some(call.client_stream),
            Side::Upstream => call.upstream_stream,
        }?;
        Some((stream, self.peer_ref(side).streams.get(&stream)?))
    }
}
