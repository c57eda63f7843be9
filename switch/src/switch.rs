//! The switch: a client's connection, its calls, its lanes.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http2::error::{ConnectionError, Reason};
use http2::fields::Fields;
use http2::frame;
use http2::output::Output;
use http2::settings::Settings;

use crate::call::Call;
use crate::event::{CallId, Event, LaneId, Unfit};
use crate::guard::Guard;
use crate::ids::ById;
use crate::lane::{ClientSettings, Lane};
use crate::limits::{
    ANSWER_HEAD_MAX, BLOCK_MAX, CLIENT_HELD, CLIENT_WINDOW, FRONT_HELD, HEAD_MAX, Limits,
    ORPHANS_MAX,
};
use crate::link::Link;
use crate::window::WINDOW_FIRST;

/// Joins one client's HTTP/2 connection with its lanes. `C` is what the owner knows of a call, `G` looks at frames.
#[derive(Debug)]
pub struct Switch<C, G> {
    pub(crate) client: Link<G>,
    pub(crate) has_preface: bool,
    pub(crate) has_settings: bool,
    pub(crate) settings: ClientSettings,
    pub(crate) calls: ById<Box<Call<C>>>,
    pub(crate) spare: Vec<Box<Call<C>>>,
    pub(crate) lanes: Vec<Option<Lane<G>>>,
    /// Lanes that may have something to write.
    pub(crate) dirty: VecDeque<LaneId>,
    pub(crate) events: VecDeque<Event<C>>,
    /// The client's last stream.
    pub(crate) last_call: CallId,
    /// The last that it was told will be served.
    pub(crate) last_served: CallId,
    /// Streams that were ended here, latest last.
    pub(crate) resets: VecDeque<CallId>,
    /// Bytes of requests that wait for lanes.
    pub(crate) client_held: usize,
    /// How many of them may be before the client's window is given back on delivery.
    pub(crate) client_may_hold: usize,
    /// Bytes of answers that wait for the client.
    pub(crate) answers_held: usize,
    /// The same where no lane is answerable for them: it is gone, or the owner has answered.
    pub(crate) orphaned: usize,
    /// Bytes of header lists: of requests that are not answered, and of trailers that wait behind a body.
    pub(crate) lists_held: usize,
    /// Bytes of requests that are kept to be sent once more.
    pub(crate) kept: usize,
    /// Where header blocks are put together.
    pub(crate) scratch: Vec<u8>,
    /// Where they are taken apart.
    pub(crate) fields: Fields,
    /// The stream whose HEADERS said that it depends on itself.
    pub(crate) self_dependent: bool,
    /// The client has said GOAWAY.
    pub(crate) client_leaves: bool,
    /// PINGs of the client that are not answered.
    pub(crate) pings: Vec<[u8; 8]>,
    /// Bytes of requests and of answers that were passed on.
    pub(crate) moved: (u64, u64),
    pub(crate) limits: Limits,
    /// Since the owner's clock began.
    pub(crate) now: Duration,
}

/// The ping that follows the first GOAWAY of a drain: who answers it has heard that.
pub(crate) const DRAIN_PING: [u8; 8] = *b"hubdrain";

impl<C, G: Guard> Switch<C, G> {
    /// A switch for a client that has said nothing yet.
    pub fn new(limits: Limits, guard: G) -> Self {
        let mut client = Link::new(CLIENT_WINDOW, BLOCK_MAX, guard);
        client.greet(&Settings {
            max_concurrent_streams: Some(limits.max_calls),
            max_header_list_size: Some(HEAD_MAX as u32),
            // Fronts pass WebSockets on so (RFC 8441 3).
            enable_connect_protocol: Some(1),
            ..Settings::default()
        });
        Self {
            client,
            has_preface: false,
            has_settings: false,
            settings: ClientSettings {
                stream_window: WINDOW_FIRST,
                header_list: ANSWER_HEAD_MAX as u32,
            },
            calls: ById::default(),
            spare: Vec::new(),
            lanes: Vec::new(),
            dirty: VecDeque::new(),
            events: VecDeque::new(),
            last_call: 0,
            last_served: CallId::MAX >> 1,
            resets: VecDeque::new(),
            client_held: 0,
            client_may_hold: CLIENT_HELD,
            answers_held: 0,
            orphaned: 0,
            lists_held: 0,
            kept: 0,
            scratch: Vec::new(),
            fields: Fields::new(),
            self_dependent: false,
            client_leaves: false,
            pings: Vec::new(),
            moved: (0, 0),
            limits,
            now: Duration::ZERO,
        }
    }

    // --- time ---

    /// So late it is, by the owner's clock.
    pub fn passed(&mut self, now: Duration) {
        self.now = now;
    }

    /// So long it takes to the agent of a lane and back.
    pub fn is_so_far(&mut self, lane: LaneId, rtt: Duration) {
        if let Some(lane) = self.lane_mut(lane) {
            lane.rtt = rtt;
        }
    }

    // --- the client's bytes ---

    /// Takes bytes of the client. They are looked at by [`Self::next_of_client`].
    pub fn client_came(&mut self, bytes: Bytes) {
        if !self.client.is_deaf {
            self.client.input.push(bytes);
        }
    }

    /// The next thing that happens by what the client has said; `None` once all of it is understood.
    ///
    /// # Errors
    /// The client broke the protocol. Its connection must end: see [`Self::fail_client`].
    pub fn next_of_client(&mut self) -> Result<Option<Event<C>>, ConnectionError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.client.is_deaf {
                return Ok(None);
            }
            if !self.has_preface && !self.take_preface()? {
                return Ok(None);
            }
            let Some(head) = self.client.next_frame()? else {
                return Ok(None);
            };
            self.client_frame(head)?;
        }
    }

    fn take_preface(&mut self) -> Result<bool, ConnectionError> {
        self.has_preface = self.client.input.preface()?;
        Ok(self.has_preface)
    }

    /// What is to be written to the client. DATA is put in by turns, and PINGs are answered beside what else there is:
    /// where there is nothing else, [`Self::answer_pings`] decides.
    pub fn client_output(&mut self) -> &mut Output {
        self.fill_client();
        if !self.client.output.is_empty() {
            self.answer_pings();
        }
        &mut self.client.output
    }

    /// Answers the client's PINGs.
    pub fn answer_pings(&mut self) {
        for payload in self.pings.drain(..) {
            frame::write_ping_ack(&mut self.client.output, payload);
        }
    }

    /// Who looks at the client's frames.
    pub fn client_guard(&mut self) -> &mut G {
        &mut self.client.guard
    }

    // --- lanes' bytes ---

    /// Begins a lane. Its upstream is taken to allow `max_streams` until it says otherwise.
    pub fn open_lane(&mut self, max_streams: u32, guard: G) -> LaneId {
        let id = self.place_lane(Lane::new(self.settings, max_streams, guard, self.now));
        self.touch(id);
        id
    }

    pub(crate) fn place_lane(&mut self, lane: Lane<G>) -> LaneId {
        match self.lanes.iter().position(Option::is_none) {
            Some(id) => {
                self.lanes[id] = Some(lane);
                id
            }
            None => {
                self.lanes.push(Some(lane));
                self.lanes.len() - 1
            }
        }
    }

    /// Takes bytes of a lane. They are looked at by [`Self::next_of_lane`].
    pub fn lane_came(&mut self, lane: LaneId, bytes: Bytes) {
        if let Some(lane) = self.lane_mut(lane).filter(|lane| !lane.link.is_deaf) {
            lane.link.input.push(bytes);
        }
    }

    /// The next thing that happens by what a lane's upstream has said; `None` once all of it is understood.
    pub fn next_of_lane(&mut self, id: LaneId) -> Option<Event<C>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let link = &mut self.lane_mut(id)?.link;
            let done = match link.next_frame() {
                Ok(None) => return None,
                Ok(Some(head)) => self.lane_frame(id, head),
                Err(error) => Err(error),
            };
            if let Err(error) = done {
                self.fail_lane(id, error);
            }
        }
    }

    /// What happened otherwise, if anything has.
    pub fn next_event(&mut self) -> Option<Event<C>> {
        self.events.pop_front()
    }

    /// Writes to a lane: `write` takes what it can off the front of what there is. DATA is put in by turns, so there may be
    /// more then. `None` if there is nothing, or no such lane.
    pub fn write_lane<T>(&mut self, id: LaneId, write: impl FnOnce(&mut Output) -> T) -> Option<T> {
        self.fill_lane(id);
        let link = &mut self.lane_mut(id)?.link;
        let len = link.output.len();
        if len == 0 {
            return None;
        }
        let wrote = write(&mut link.output);
        link.written += (len - link.output.len()) as u64;
        Some(wrote)
    }

    /// The next lane that may have something to write. Each is named once until it is touched again.
    pub fn next_dirty(&mut self) -> Option<LaneId> {
        loop {
            let id = self.dirty.pop_front()?;
            if let Some(lane) = self.lane_mut(id) {
                lane.is_dirty = false;
                return Some(id);
            }
        }
    }

    /// Who looks at a lane's frames.
    pub fn lane_guard(&mut self, id: LaneId) -> Option<&mut G> {
        Some(&mut self.lane_mut(id)?.link.guard)
    }

    pub(crate) fn lane_mut(&mut self, id: LaneId) -> Option<&mut Lane<G>> {
        self.lanes.get_mut(id)?.as_mut()
    }

    pub(crate) fn lane(&self, id: LaneId) -> Option<&Lane<G>> {
        self.lanes.get(id)?.as_ref()
    }

    /// A lane may have something to write from now on.
    pub(crate) fn touch(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(id).and_then(Option::as_mut)
            && !std::mem::replace(&mut lane.is_dirty, true)
        {
            self.dirty.push_back(id);
        }
    }

    // --- what is known ---

    /// The head of a call that waits.
    #[must_use]
    pub fn request(&self, call: CallId) -> Option<&Fields> {
        Some(&self.calls.get(&call)?.request)
    }

    /// Why a call cannot be passed on, if it cannot.
    #[must_use]
    pub fn unfit(&self, call: CallId) -> Option<&Unfit> {
        self.calls.get(&call)?.unfit.as_ref()
    }

    /// What the owner knows of a call.
    pub fn user(&mut self, call: CallId) -> Option<&mut Option<C>> {
        Some(&mut self.calls.get_mut(&call)?.user)
    }

    /// Calls that have streams of the client or of a lane.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Calls on a lane.
    #[must_use]
    pub fn calls_on(&self, lane: LaneId) -> usize {
        self.lane(lane).map_or(0, |lane| lane.streams.len())
    }

    /// Whether a lane should get another call: it has a place for one, and not too much waits for it.
    #[must_use]
    pub fn has_room(&self, lane: LaneId) -> bool {
        self.lane(lane).is_some_and(Lane::has_room)
    }

    /// Whether so much waits of answers whose lanes are gone that no upstream should be asked for more
    /// before the client takes some.
    #[must_use]
    pub fn is_overfull(&self) -> bool {
        self.orphaned >= ORPHANS_MAX
    }

    /// Whether the upstream of a lane has spoken.
    #[must_use]
    pub fn has_spoken(&self, lane: LaneId) -> bool {
        self.lane(lane).is_some_and(|lane| lane.has_spoken)
    }

    /// Streams that the upstream of a lane allows at once, as far as is known.
    #[must_use]
    pub fn max_streams(&self, lane: LaneId) -> u32 {
        self.lane(lane).map_or(0, |lane| lane.max_streams)
    }

    /// The client is a front: callers with lanes of their own share its connection, and none is to stop the others.
    pub fn serves_front(&mut self) {
        self.client_may_hold = FRONT_HELD;
    }

    // --- goodbyes ---

    /// Tells the client to go elsewhere. Its calls go on, and those that it begins before it has heard are taken.
    pub fn drain(&mut self) {
        frame::write_goaway(&mut self.client.output, CallId::MAX >> 1, Reason::NO_ERROR, b"");
        frame::write_ping(&mut self.client.output, DRAIN_PING);
    }

    /// Takes no new calls any more, and says so.
    pub fn take_no_more(&mut self, reason: Reason, debug: &[u8]) {
        self.last_served = self.last_served.min(self.last_call);
        frame::write_goaway(&mut self.client.output, self.last_served, reason, debug);
    }
}
