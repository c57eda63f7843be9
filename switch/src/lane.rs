//! One lane: an HTTP/2 connection to an upstream, which is the client's alone.

use http2::error::ConnectionError;
use http2::frame::PREFACE;
use http2::settings::Settings;

use crate::event::CallId;
use crate::guard::Guard;
use crate::ids::ById;
use crate::limits::{
    ANSWER_BLOCK_MAX, ANSWER_HEAD_MAX, LANE_HELD, LANE_OUTPUT, LANE_WINDOW, LANE_WINDOW_MAX,
    REPLAY_BODY,
};
use crate::link::Link;
use crate::way::Way;

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
    /// What passes on it is told by [`Switch::moved`](crate::Switch::moved).
    pub(crate) is_counted: bool,
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
    /// Calls that are due a window once less is held.
    pub(crate) starved: Vec<CallId>,
    /// There may be something to write.
    pub(crate) is_dirty: bool,
}

impl<G: Guard> Lane<G> {
    /// Begins to speak. Until the upstream's SETTINGS come, it is taken to allow `max_streams`, as the last lane of that
    /// upstream has said, and the RFC's values otherwise.
    pub(crate) fn new(client: ClientSettings, max_streams: u32, guard: G) -> Self {
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
            is_counted: true,
            has_answered: false,
            is_closing: false,
            told: client,
            is_unacknowledged: true,
            up_held: 0,
            down_held: 0,
            starved: Vec::new(),
            is_dirty: false,
        }
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

    /// Gives back what the upstream has used of the connection's window. One whose DATA leaves for the client as it comes
    /// may have more on its way; one whose DATA waits, no more than at first.
    pub(crate) fn grant_connection(&mut self) {
        let link = &mut self.link;
        if self.down_held as i64 >= LANE_WINDOW {
            link.window = LANE_WINDOW;
        } else if 2 * (self.down_held as i64) < LANE_WINDOW && 2 * link.recv_window <= link.window {
            link.window = (2 * link.window).min(LANE_WINDOW_MAX);
        }
        link.grant_connection(self.down_held);
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

fn settings(client: ClientSettings) -> Settings {
    Settings {
        enable_push: Some(0),
        // Below 2^31, as the client's own SETTINGS were.
        initial_window_size: Some(client.stream_window as u32),
        max_header_list_size: Some(client.header_list.min(ANSWER_HEAD_MAX as u32)),
        ..Settings::default()
    }
}
