//! One call: a stream of the client, and the stream of a lane that it is joined with.

use http2::error::Reason;
use http2::fields::Fields;

use crate::event::{Ended, How, LaneId, Unfit};
use crate::limits::{REPLAY_BODY, REPLAYS};
use crate::way::{Tail, Way};
use crate::window::WINDOW_FIRST;

/// Memory of a call that is kept for the next one, at most.
const SPARE_BYTES: usize = 4096;

/// What is known of a call.
#[derive(Debug)]
pub(crate) struct Call<C> {
    /// What the owner knows of it.
    pub(crate) user: Option<C>,
    pub(crate) at: At,
    /// It is on a lane of an upstream: what passes of it is counted, and says nothing in the hub's name.
    pub(crate) is_proxied: bool,
    /// Its stream on the lane has ended.
    pub(crate) left_stream: bool,
    /// Its head, until the answer begins.
    pub(crate) request: Fields,
    pub(crate) unfit: Option<Unfit>,
    /// The answer has no body, whatever its length says (RFC 9110 9.3.2).
    pub(crate) is_head: bool,
    /// From the client to the upstream.
    pub(crate) up: Way,
    /// And back.
    pub(crate) down: Way,
    /// The first of the body, while it may have to be sent once more.
    kept: Vec<u8>,
    /// It is all that has come.
    keeps: bool,
    pub(crate) replays: u8,
    /// The head of the answer has gone to the client.
    pub(crate) is_answered: bool,
    pub(crate) informational: u8,
    pub(crate) informational_bytes: usize,
    status: u16,
    grpc_status: Option<u32>,
    pub(crate) how: How,
    /// The owner has been told that it is over.
    pub(crate) is_told: bool,
    /// What the client is told once it has its answer, if it is still sending then.
    pub(crate) stop_upload: Option<Reason>,
    /// Bytes of header lists that it was found to hold.
    pub(crate) lists: usize,
    /// Bytes that had moved when somebody looked last.
    pub(crate) looked: u64,
}

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// Nobody has decided yet.
    Waiting,
    /// On a lane.
    Lane {
        lane: LaneId,
        /// Its stream there.
        stream: u32,
        /// Where its HEADERS begin in what was sent on the lane.
        began: u64,
    },
    /// No upstream is, or is any more, concerned.
    Nowhere,
}

impl<C> Default for Call<C> {
    fn default() -> Self {
        Self {
            user: None,
            at: At::Waiting,
            is_proxied: false,
            left_stream: false,
            request: Fields::new(),
            unfit: None,
            is_head: false,
            up: Way::default(),
            down: Way::default(),
            kept: Vec::new(),
            keeps: true,
            replays: 0,
            is_answered: false,
            informational: 0,
            informational_bytes: 0,
            status: 0,
            grpc_status: None,
            how: How::Complete,
            is_told: false,
            stop_upload: None,
            lists: 0,
            looked: u64::MAX,
        }
    }
}

impl<C> Call<C> {
    /// A new call in the memory of an old one, whose client takes `window` bytes of the answer.
    pub(crate) fn begin(&mut self, window: i64) {
        let (mut request, mut kept) =
            (std::mem::take(&mut self.request), std::mem::take(&mut self.kept));
        request.clear();
        kept.clear();
        *self = Self { request, kept, ..Self::default() };
        self.up = Way::new(WINDOW_FIRST, 0);
        self.down = Way::new(0, window);
    }

    /// Whether its memory is worth keeping for the next call.
    pub(crate) fn is_small(&self) -> bool {
        self.request.size() <= SPARE_BYTES && self.kept.capacity() <= SPARE_BYTES
    }

    /// The lane and the stream there.
    pub(crate) fn on_lane(&self) -> Option<(LaneId, u32)> {
        match self.at {
            At::Lane { lane, stream, .. } => Some((lane, stream)),
            At::Waiting | At::Nowhere => None,
        }
    }

    /// Whether its stream on a lane is open.
    pub(crate) fn is_on_stream(&self) -> bool {
        self.on_lane().is_some() && !self.left_stream
    }

    /// Its request is not looked at any more. A large one is not kept for as long as the call lasts.
    pub(crate) fn forget_request(&mut self) {
        if self.request.size() > SPARE_BYTES {
            self.request = Fields::new();
        }
    }

    /// Bytes of header lists that it holds: its request's until it is answered, and of trailers that wait.
    pub(crate) fn lists_size(&self) -> usize {
        let request = if self.is_answered { 0 } else { self.request.size() };
        request + self.up.tail.size() + self.down.tail.size()
    }

    // --- what is kept to be sent once more ---

    /// Keeps the first bytes of the body, as many as may be. Returns by how much more is kept now.
    pub(crate) fn keep(&mut self, bytes: &[u8], left: usize) -> usize {
        if !self.keeps {
            return 0;
        }
        let len = bytes.len().min(REPLAY_BODY - self.kept.len()).min(left);
        self.keeps = len == bytes.len();
        self.kept.extend_from_slice(&bytes[..len]);
        len
    }

    /// What follows the body is not kept, but held until it is sent.
    pub(crate) fn keep_no_more(&mut self) {
        self.keeps = false;
    }

    /// Keeps nothing any more. Returns how much it was.
    pub(crate) fn forget_kept(&mut self) -> usize {
        self.keeps = false;
        let len = self.kept.len();
        self.kept.clear();
        len
    }

    #[cfg(test)]
    pub(crate) fn kept_len(&self) -> usize {
        self.kept.len()
    }

    /// Whether its body can be sent from the beginning: what was passed on is kept, the rest is kept or held.
    pub(crate) fn is_at_hand(&self) -> bool {
        let is_passed_kept = self.up.passed <= self.kept.len() as u64;
        if self.up.sink_ended { self.keeps } else { is_passed_kept }
    }

    /// Whether it can be sent once more from its beginning.
    pub(crate) fn can_be_sent_again(&self) -> bool {
        !self.is_answered && self.replays < REPLAYS && self.is_at_hand()
    }

    /// Puts back what was sent in front of what was not, as if it had not been.
    pub(crate) fn rewind(&mut self) {
        self.at = At::Waiting;
        let mut rest = std::mem::take(&mut self.up.held);
        let passed = self.kept.get(..self.up.passed as usize);
        self.up.held.push_slice(passed.unwrap_or(&self.kept));
        rest.take(rest.len(), |piece| self.up.held.push(piece));
        if self.up.sink_ended {
            self.up.tail = Tail::End;
        }
        self.up.sink_ended = false;
        self.up.passed = 0;
        self.up.allowed = 0;
    }

    // --- how it ends ---

    pub(crate) fn note_status(&mut self, status: u16) {
        self.status = status;
    }

    /// Notes what the head or the trailers of an answer say of the call.
    pub(crate) fn note_grpc_status(&mut self, fields: &Fields) {
        let text = fields.get(b"grpc-status").and_then(|value| std::str::from_utf8(value).ok());
        self.grpc_status = text.and_then(|text| text.parse().ok()).or(self.grpc_status);
    }

    pub(crate) fn ended(&self) -> Ended {
        Ended {
            how: self.how,
            status: self.status,
            grpc_status: self.grpc_status,
            bytes: (self.up.passed, self.down.passed),
            messages: (self.up.messages.count, self.down.messages.count),
        }
    }

    /// Nothing is left to be done at either end.
    pub(crate) fn is_over(&self) -> bool {
        let Self { up, down, .. } = self;
        up.source_ended && up.sink_ended && down.source_ended && down.sink_ended
    }
}
