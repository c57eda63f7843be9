//! What a connection does whenever it is woken: lanes are read and written, the client is written, time has passed.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::stream::Stream;
use http2::error::Reason;
use switch::{Event, LaneId};
use tokio::io::AsyncWrite;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::io::poll_read_buf;
use tunnel::limits::{CLOSING_PAUSE, OFFENDER_PAUSE};
use tunnel::turn::Turn;

use super::call::Call;
use super::connection::{Connection, End};
use super::dispatch::is_retired;
use crate::limits::{FAREWELL_TIMEOUT, LINGER_TIMEOUT, PING_PAUSE};
use crate::observe::limit::Limit;

/// Pieces that are written at once.
const SLICES: usize = 16;

impl Connection {
    // --- events ---

    /// Does what the hub has to do about something that has happened.
    pub(super) fn handle(&mut self, event: Event<Box<Call>>) {
        match event {
            Event::Call(id) => self.begin(id),
            Event::Returned(id) => self.returned(id),
            Event::Lost(id) => self.lost(id),
            Event::Answered(id) => self.answered(id),
            Event::Ended { call, user, end } => self.ended(call, user, &end),
            Event::LaneReady(lane) => self.lane_ready(lane),
            Event::LaneRoom(lane) => self.lane_has_room(lane),
            Event::Goaway { lane, reason, debug } => self.lane_said_goaway(lane, reason, &debug),
            Event::LaneFailed(lane, error) => self.lane_failed(lane, error),
            Event::DrainHeard => self.switch.take_no_more(Reason::NO_ERROR, b""),
        }
    }

    /// The same of all that has happened beside what was read.
    pub(super) fn handle_events(&mut self) {
        while let Some(event) = self.switch.next_event() {
            self.handle(event);
        }
        while let Some(group) = self.returned.pop() {
            self.serve_group(group);
        }
    }

    fn lane_has_room(&mut self, id: LaneId) {
        self.set_busy(id);
        let retired = is_retired(&self.lanes, id);
        let Some(lane) = self.lanes.get(id).and_then(Option::as_ref) else { return };
        if let Some(group) = lane.group {
            self.serve_group(group);
        }
        if self.switch.calls_on(id) == 0 && (retired || self.switch.is_closing(id)) {
            self.leave_lane(id);
        }
    }

    // --- lanes ---

    pub(super) fn poll_lanes(&mut self, cx: &mut Context<'_>) {
        let mut woken = std::mem::take(&mut self.woken);
        self.wakers.take(cx.waker(), &mut woken);
        for id in woken.drain(..) {
            self.poll_lane(id);
        }
        self.woken = woken;
    }

    fn poll_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get(id).and_then(Option::as_ref) else { return };
        lane.woken.heed();
        let waker = lane.woken.waker.clone();
        let rtt = lane.seat.as_ref().and_then(|seat| seat.session().rtt());
        self.switch.is_so_far(id, rtt.unwrap_or_default());
        if is_retired(&self.lanes, id) && !self.switch.is_closing(id) {
            self.retire_lane(id);
        }
        let mut cx = Context::from_waker(&waker);
        if self.poll_read_lane(id, &mut cx).is_ready() {
            self.lane_over(id);
        }
        self.handle_events();
        self.write_lane(id);
    }

    /// Reads a lane, and does what its upstream asks for. Ready at its end.
    fn poll_read_lane(&mut self, id: LaneId, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(guard) = self.switch.lane_guard(id) else { return Poll::Pending };
            ready!(guard.poll_more(cx));
            if guard.take_slow().is_some() {
                self.note_slow_lane(id);
            }
            while let Some(event) = self.switch.next_of_lane(id) {
                self.handle(event);
            }
            if self.switch.is_tired_of(id) {
                continue;
            }
            let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else {
                return Poll::Pending;
            };
            let piece = match lane.io.poll_piece(cx) {
                Poll::Ready(piece) => piece.unwrap_or_default(),
                Poll::Pending => {
                    if let Some(guard) = self.switch.lane_guard(id) {
                        guard.read(0);
                    }
                    return Poll::Pending;
                }
            };
            if piece.is_empty() {
                return Poll::Ready(());
            }
            if let Some(guard) = self.switch.lane_guard(id) {
                guard.read(piece.len());
            }
            self.switch.lane_came(id, piece);
        }
    }

    fn note_slow_lane(&self, id: LaneId) {
        let lane = self.lanes.get(id).and_then(Option::as_ref);
        if let Some(seat) = lane.and_then(|lane| lane.seat.as_ref()) {
            self.reached_by(Limit::AgentHeads, seat.session());
        }
    }

    /// Writes what there is for a lane, as far as it takes it; its waker tells when it takes more.
    fn write_lane(&mut self, id: LaneId) {
        let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut) else { return };
        let waker = lane.woken.waker.clone();
        let mut cx = Context::from_waker(&waker);
        loop {
            match self.switch.write_lane(id, |output| lane.io.poll_write(&mut cx, output)) {
                None => break,
                Some(Poll::Ready(Ok(()))) => {}
                // Reading tells how it ended.
                Some(_) => return,
            }
        }
        if lane.leaves_by.is_some() && !lane.is_held {
            lane.io.finish(&mut cx);
            self.end_lane(id, None);
        }
    }

    /// Writes to the lanes that have something to write.
    fn write_lanes(&mut self) {
        while let Some(id) = self.switch.next_dirty() {
            self.write_lane(id);
        }
        self.handle_events();
    }

    pub(super) fn poll_opening(&mut self, cx: &mut Context<'_>) {
        self.look_at_opening = false;
        while let Poll::Ready(Some((group, session, opened))) =
            Pin::new(&mut self.opening).poll_next(cx)
        {
            match opened {
                Ok(opened) => self.add_opened(group, opened),
                Err(error) => {
                    self.origin.hub.lanes.note(&session, Some(&error));
                    if let Some(group) = self.groups.get(group) {
                        group.opened(&session, Err(error));
                    }
                }
            }
            self.serve_group(group);
        }
        while let Poll::Ready(Some(group)) = Pin::new(&mut self.arriving).poll_next(cx) {
            self.arrived(group);
        }
    }

    // --- writing ---

    /// Writes to lanes and client until neither takes, or has, any more.
    pub(super) fn poll_writes(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        loop {
            self.write_lanes();
            if let Poll::Ready(written) = self.poll_write_client(cx) {
                written?;
            }
            self.handle_events();
            self.note_moved();
            self.holding.set(self.switch.held() + self.switch.client_waits_for());
            if !self.switch.has_dirty() {
                return Ok(());
            }
        }
    }

    /// Writes what there is for the client. Ready once all of it is written.
    pub(super) fn poll_write_client(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            self.answer_pings();
            let output = self.switch.client_output();
            if output.is_empty() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = output.slices(&mut slices);
            let written = Pin::new(&mut self.io).poll_write_vectored(cx, &slices[..count]);
            match ready!(written) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(written) => output.advance(written),
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.is_flushed = false;
        }
        // TLS holds records back that the socket has no room for.
        if !self.is_flushed {
            ready!(Pin::new(&mut self.io).poll_flush(cx))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Answers PINGs for which alone there would be something to write, at a pace.
    fn answer_pings(&mut self) {
        if !self.switch.owes_only_pings() {
            return;
        }
        let now = Instant::now();
        if now < self.pings_wait_until {
            return self.look_by(self.pings_wait_until);
        }
        self.pings_wait_until = now + PING_PAUSE;
        self.switch.answer_pings();
    }

    // --- time ---

    /// Looks again at this time, if nothing makes it look sooner.
    pub(super) fn look_by(&mut self, at: Instant) {
        if self.look_at.is_none_or(|known| at < known) {
            self.look_at = Some(at);
        }
    }

    /// Does what is due. Returns `true` if there was something.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_looked = false;
        while let Some(at) = self.look_at {
            if self.timer.deadline() != at {
                self.timer.as_mut().reset(at);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                break;
            }
            self.look_at = None;
            self.look(Instant::now());
            has_looked = true;
        }
        has_looked
    }

    /// Does what time brings about.
    fn look(&mut self, now: Instant) {
        if now >= self.greet_by && !self.switch.has_greeted() {
            self.end = Some(End::Gone);
        }
        self.serve_callers();
        for group in self.groups.ids() {
            self.serve_group(group);
        }
        if let Some(next) = self.look_after_lanes(now) {
            self.look_by(next);
        }
        let is_busy = self.look_at_calls(now);
        if now >= self.sweep_at {
            self.sweep_at = now + LINGER_TIMEOUT;
            self.switch.sweep();
        }
        if self.switch.calls() > 0 {
            self.look_by(self.sweep_at);
        } else if !is_busy {
            self.switch.rest();
        }
        self.handle_events();
    }

    // --- the end ---

    /// Tells the client and all upstreams that the connection ends, as far as they listen.
    pub(super) async fn take_leave(&mut self, end: End) {
        match end {
            End::Gone => {}
            End::Wrong(error) => {
                if error.reason == Reason::ENHANCE_YOUR_CALM {
                    self.reached(Limit::ClientFrames, None);
                    // Or it would be back at once.
                    sleep(OFFENDER_PAUSE).await;
                }
                self.switch.fail_client(error);
            }
            End::Drained => self.switch.take_no_more(Reason::NO_ERROR, b""),
        }
        self.switch.client_gone();
        self.handle_events();
        for id in 0..self.lanes.len() {
            self.leave_lane(id);
        }
        self.write_lanes();
        if !matches!(end, End::Gone) {
            let mut turn = Turn::slow(CLOSING_PAUSE);
            let farewell = poll_fn(|cx| self.poll_farewell(&mut turn, cx));
            let _ = timeout(FAREWELL_TIMEOUT, farewell).await;
        }
        let _ = timeout(FAREWELL_TIMEOUT, poll_fn(|cx| self.poll_last_lanes(cx))).await;
    }

    /// Ready once the client has heard, and gone. What it still says is read, at leisure, or its system would forget what
    /// it was told.
    fn poll_farewell(&mut self, turn: &mut Turn, cx: &mut Context<'_>) -> Poll<()> {
        if ready!(self.poll_write_client(cx)).is_err() {
            return Poll::Ready(());
        }
        let _ = Pin::new(&mut self.io).poll_shutdown(cx);
        loop {
            ready!(turn.poll(cx));
            let mut rest = BytesMut::with_capacity(1 << 12);
            match ready!(poll_read_buf(Pin::new(&mut self.io), cx, &mut rest)) {
                Ok(len) if len > 0 => turn.did(len),
                _ => return Poll::Ready(()),
            }
        }
    }

    /// Ready once the lanes have all been told.
    fn poll_last_lanes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_lanes(cx);
        self.write_lanes();
        if self.lanes.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    }
}
