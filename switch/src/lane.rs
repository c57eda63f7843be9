//! One lane: an HTTP/2 connection to an upstream, which is the client's alone.

use std::time::Duration;

use http2::error::ConnectionError;
use http2::frame::{self, PREFACE};
use http2::settings::Settings;

use crate::event::CallId;
use crate::guard::Guard;
use crate::ids::ById;
use crate::limits::{
    ANSWER_BLOCK_MAX, ANSWER_HEAD_MAX, LANE_HELD, LANE_OUTPUT, LANE_WINDOW, LANE_WINDOW_MAX,
    REPLAY_BODY,
};
use crate::link::Link;
use crate::pace::Pace;
use crate::way::Way;
use crate::window::WINDOW_MAX;

/// What the client has said of itself, which each of its lanes must hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientSettings {
    /// What it takes on a stream at first.
    pub(crate) stream_window: i64,
    /// Bytes of a header list that it takes.
    pub(crate) header_list: u32,
}

/// An HTTP/2 client on a lane.
#[derive(Debug)]
pub(crate) struct Lane<G> {
    pub(crate) link: Link<G>,
    /// Its open streams, and whose they are.
    pub(crate) streams: ById<CallId>,
    pub(crate) next_stream: u32,
    /// Streams that the upstream allows at once.
    pub(crate) max_streams: u32,
    /// The upstream's SETTINGS have come.
    pub(crate) has_spoken: bool,
    /// Whoever owns the switch serves it.
    pub(crate) is_own: bool,
    /// It has answered a call.
    pub(crate) has_answered: bool,
    /// It takes no new calls.
    pub(crate) is_closing: bool,
    /// What the upstream was told last.
    pub(crate) told: ClientSettings,
    /// And has not acknowledged yet.
    pub(crate) is_unacknowledged: bool,
    /// Bytes of requests that wait for it.
    pub(crate) up_held: usize,
    /// Bytes of its answers that wait for the client.
    pub(crate) down_held: usize,
    /// Bytes that its upstream may send on streams beyond what the client takes.
    pub(crate) ahead: i64,
    /// Bytes of the answer that ended last: as many may come of the next.
    pub(crate) expected: i64,
    /// How long it takes to its agent and back.
    pub(crate) rtt: Duration,
    /// How fast its upstream uses the connection's window, and what it had when it was granted some last.
    pace: Pace,
    had: i64,
    /// Calls that are due a window once less is held.
    pub(crate) starved: Vec<CallId>,
    /// There may be something to write.
    pub(crate) is_dirty: bool,
}

impl<G: Guard> Lane<G> {
    /// Begins to speak. Until the upstream's SETTINGS come, it is taken to allow `max_streams`, as the last lane of that
    /// upstream has said, and the RFC's values otherwise.
    pub(crate) fn new(client: ClientSettings, max_streams: u32, guard: G, now: Duration) -> Self {
        let mut link = Link::new(LANE_WINDOW, ANSWER_BLOCK_MAX, guard);
        // Until the upstream has spoken, no call sends more than can be sent again elsewhere.
        link.stream_window = REPLAY_BODY as i64;
        link.output.extend(PREFACE);
        link.greet(&settings(client));
        Self {
            link,
            streams: ById::default(),
            next_stream: 1,
            max_streams,
            has_spoken: false,
            is_own: false,
            has_answered: false,
            is_closing: false,
            told: client,
            is_unacknowledged: true,
            up_held: 0,
            down_held: 0,
            ahead: 0,
            expected: 0,
            rtt: Duration::ZERO,
            pace: Pace::begin(LANE_WINDOW, now),
            had: LANE_WINDOW,
            starved: Vec::new(),
            is_dirty: false,
        }
    }

    /// It is another owner's from now on, who has a clock of its own.
    pub(crate) fn moves(&mut self, now: Duration) {
        (self.pace, self.is_dirty) = (Pace::begin(self.link.window, now), false);
    }

    /// Whether another call may be sent on it.
    pub(crate) fn takes_calls(&self) -> bool {
        !self.is_closing && (self.streams.len() as u32) < self.max_streams
    }

    /// Whether another call should be: what waits for it already is not too much.
    pub(crate) fn has_room(&self) -> bool {
        self.takes_calls() && !self.is_clogged() && self.link.output.len() < LANE_OUTPUT
    }

    /// Whether the upstream may speak of a stream: it was opened here.
    pub(crate) fn check_known(&self, stream: u32) -> Result<(), ConnectionError> {
        if stream % 2 == 1 && stream < self.next_stream {
            return Ok(());
        }
        Err(ConnectionError::protocol("a frame of a stream that nobody has opened"))
    }

    /// The call is due nothing on it any more.
    pub(crate) fn unstarve(&mut self, call: CallId, way: &mut Way) {
        if std::mem::take(&mut way.is_starved) {
            self.starved.retain(|starved| *starved != call);
        }
    }

    /// Whether so much waits for it that its calls are granted nothing more.
    pub(crate) fn is_clogged(&self) -> bool {
        self.up_held >= LANE_HELD
    }

    /// Gives back what the upstream has used of the connection's window. What was granted ahead of the client comes on
    /// top: it does not stop the others if the client leaves it.
    pub(crate) fn grant_connection(&mut self, now: Duration) {
        let held = self.down_held as i64 - self.ahead;
        if self.link.connection_due(held).is_none() {
            return;
        }
        self.follow(now);
        self.link.grant_connection(held);
        self.had = self.link.recv_window;
    }

    /// The connection's window follows the link, as long as DATA leaves for the client as it comes.
    fn follow(&mut self, now: Duration) {
        let (window, used) = (self.link.window, self.had - self.link.recv_window);
        let Some(enough) = self.pace.used(used, window, now, self.rtt) else { return };
        let waits = 2 * self.down_held as i64 > window;
        if enough > window && !waits {
            // A client that takes less needs its upstream as far ahead of it: what is left must do for that as well.
            let most = whole_frames(enough.min(LANE_WINDOW_MAX));
            let wider = most_of(most, window, |wider| self.promise(wider, self.ahead.max(wider)));
            self.link.window = wider.unwrap_or(window);
        } else if enough < window / 2 {
            self.link.window = (window / 2).max(LANE_WINDOW);
        }
        self.keep_promise();
    }

    /// Whether its upstream may have so much on its way. What was promised before is, until it is used.
    fn promise(&mut self, window: i64, ahead: i64) -> bool {
        // Or it would be more than a window can be.
        if window + ahead > WINDOW_MAX {
            return false;
        }
        let on_the_way = self.link.recv_window + self.down_held as i64;
        let promised = (window + ahead).max(on_the_way);
        self.link.guard.promise((promised - LANE_WINDOW) as usize)
    }

    fn keep_promise(&mut self) {
        self.promise(self.link.window, self.ahead);
    }

    /// An upstream may send so much more, or less, ahead of the client. Returns how much of it is so.
    pub(crate) fn shift_ahead(&mut self, more: i64) -> i64 {
        let may = if more > 0 {
            let (window, ahead) = (self.link.window, self.ahead);
            most_of(more, 0, |more| self.promise(window, ahead + more)).unwrap_or_default()
        } else {
            more
        };
        self.ahead += may;
        self.keep_promise();
        may
    }

    /// Tells the upstream what the client says of itself now, if it does not know. Returns by how much the windows of
    /// its streams change. One SETTINGS frame is on its way at most; the newest values win.
    pub(crate) fn tell(&mut self, client: ClientSettings) -> i64 {
        if self.is_unacknowledged || self.told == client {
            return 0;
        }
        let delta = client.stream_window - self.told.stream_window;
        settings(client).write(&mut self.link.output);
        (self.told, self.is_unacknowledged) = (client, true);
        delta
    }
}

/// The most that may be: all of it, or half, or a half of that, as long as it is more than `least`.
fn most_of(all: i64, least: i64, mut may: impl FnMut(i64) -> bool) -> Option<i64> {
    let halves = std::iter::successors(Some(all), |part| Some(part / 2));
    halves.take_while(|part| *part > least).find(|part| may(*part))
}

/// No less than so many bytes, so that no frame is cut for want of a few.
fn whole_frames(bytes: i64) -> i64 {
    bytes.unsigned_abs().next_multiple_of(frame::MAX_FRAME as u64) as i64
}

fn settings(client: ClientSettings) -> Settings {
    Settings {
        enable_push: Some(0),
        // Below 2^31, as the client's own SETTINGS were.
        initial_window_size: Some(client.stream_window as u32),
        max_header_list_size: Some(client.header_list.min(ANSWER_HEAD_MAX as u32)),
        ..Settings::default()
    }
}
