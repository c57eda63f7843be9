//! A client, a switch and its upstreams, and what travels between them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http2::error::{ConnectionError, Reason};
use http2::fields::Fields;
use http2::settings::Settings;

use super::end::{End, fields, taken};
use crate::{CallId, Ended, Event, Guard, LaneId, Limits, Rewrite, Switch};

pub(crate) const REWRITE: Rewrite<'_> =
    Rewrite { scheme: b"http", authority: None, otherwise: b"name", is_ours: false };
/// Calls at once, in tests.
pub(crate) const MAX_CALLS: u32 = 64;

/// Bears everything, and promises nothing but what a test allows.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    pub(crate) promised: usize,
    pub(crate) most: usize,
}

impl Guard for Promises {
    fn incoming(&mut self, _: http2::frame::Head) -> bool {
        true
    }

    fn outgoing(&mut self, _: http2::frame::Head) {}

    fn promise(&mut self, bytes: usize) -> bool {
        let may = bytes <= self.most.max(self.promised);
        self.promised = if may { bytes } else { self.promised };
        may
    }

    fn breach(&mut self) -> bool {
        true
    }
}

pub(crate) struct World {
    pub(crate) switch: Switch<u32, Promises>,
    pub(crate) client: End,
    pub(crate) lanes: BTreeMap<LaneId, End>,
    /// What happened, but for calls that ended.
    pub(crate) events: Vec<Event<u32>>,
    pub(crate) ended: BTreeMap<CallId, Ended>,
    pub(crate) answered: BTreeSet<CallId>,
    /// Calls that were begun, as far as the owner was told.
    pub(crate) begun: u32,
    pub(crate) error: Option<ConnectionError>,
    /// Bytes that travel at a time.
    pub(crate) chunk: usize,
    /// Calls are sent on the lane that they name in their field `lane`.
    pub(crate) forwards: bool,
    /// Calls that have no lane, where the owner looks after such, and after those that are lost.
    pub(crate) waiting: Option<Vec<CallId>>,
}

impl World {
    /// With so many lanes, whose upstreams have greeted by these SETTINGS.
    pub(crate) fn new(lanes: usize, client: &Settings, upstream: &Settings) -> Self {
        let mut world = Self {
            switch: Switch::new(Limits { max_calls: MAX_CALLS }, Promises::default()),
            client: End::client(client),
            lanes: BTreeMap::new(),
            events: Vec::new(),
            ended: BTreeMap::new(),
            answered: BTreeSet::new(),
            begun: 0,
            error: None,
            chunk: usize::MAX,
            forwards: true,
            waiting: None,
        };
        world.pump();
        for _ in 0..lanes {
            let lane = world.open_lane();
            world.lane(lane).settings(upstream);
        }
        world.pump();
        world.events.clear();
        world.client.got.clear();
        world.lanes.values_mut().for_each(|lane| lane.got.clear());
        world
    }

    /// With one lane, where nobody has asked for anything.
    pub(crate) fn plain() -> Self {
        Self::new(1, &Settings::default(), &Settings::default())
    }

    /// Opens a lane whose upstream has not said anything yet.
    pub(crate) fn open_lane(&mut self) -> LaneId {
        let lane = self.switch.open_lane(100, Promises::default());
        assert!(self.lanes.insert(lane, End::upstream()).is_none(), "a lane's number twice");
        lane
    }

    pub(crate) fn lane(&mut self, lane: LaneId) -> &mut End {
        self.lanes.get_mut(&lane).expect("a lane")
    }

    // --- what travels ---

    /// Lets everything arrive.
    pub(crate) fn pump(&mut self) {
        for _ in 0..1_000_000 {
            let mut moved = self.client_speaks() | self.client_hears();
            for lane in self.lanes.keys().copied().collect::<Vec<_>>() {
                moved |= self.lane_speaks(lane) | self.lane_hears(lane);
            }
            if !moved {
                return;
            }
        }
        panic!("it goes on for ever");
    }

    pub(crate) fn client_speaks(&mut self) -> bool {
        let bytes = taken(&self.client.output, self.chunk);
        self.client.output.advance(bytes.len());
        let moved = !bytes.is_empty();
        self.switch.client_came(bytes);
        loop {
            match self.switch.next_of_client() {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => return moved,
                Err(error) => {
                    self.error = Some(error);
                    self.switch.fail_client(error);
                    self.on_events();
                    return moved;
                }
            }
        }
    }

    pub(crate) fn client_hears(&mut self) -> bool {
        self.switch.answer_pings();
        let output = self.switch.client_output();
        let bytes = taken(output, self.chunk);
        output.advance(bytes.len());
        let moved = !bytes.is_empty();
        self.client.came(bytes);
        self.on_events();
        moved
    }

    pub(crate) fn lane_speaks(&mut self, lane: LaneId) -> bool {
        let chunk = self.chunk;
        let upstream = self.lane(lane);
        let bytes = taken(&upstream.output, chunk);
        upstream.output.advance(bytes.len());
        let moved = !bytes.is_empty();
        self.switch.lane_came(lane, bytes);
        while let Some(event) = self.switch.next_of_lane(lane) {
            self.on_event(event);
        }
        moved
    }

    pub(crate) fn lane_hears(&mut self, lane: LaneId) -> bool {
        let chunk = self.chunk;
        let bytes = self.switch.write_lane(lane, |output| {
            let bytes = taken(output, chunk);
            output.advance(bytes.len());
            bytes
        });
        let moved = bytes.is_some();
        if let Some(bytes) = bytes {
            self.lane(lane).came(bytes);
        }
        self.on_events();
        moved
    }

    /// So much may be promised to a lane's upstream.
    pub(crate) fn may_promise(&mut self, lane: LaneId, most: usize) {
        self.switch.lane_guard(lane).into_iter().for_each(|guard| guard.most = most);
    }

    // --- what the owner does ---

    pub(crate) fn on_events(&mut self) {
        while let Some(event) = self.switch.next_event() {
            self.on_event(event);
        }
    }

    fn on_event(&mut self, event: Event<u32>) {
        match event {
            Event::Call(call) => {
                self.begun += 1;
                if let Some(user) = self.switch.user(call) {
                    *user = Some(call);
                }
                if self.forwards && self.switch.unfit(call).is_none() {
                    let lane = self.switch.request(call).and_then(|head| head.get(b"lane"));
                    let lane = lane.map_or(0, |lane| usize::from(lane[0] - b'0'));
                    if self.switch.forward(call, lane, &REWRITE) {
                        return;
                    }
                }
                self.waiting.iter_mut().for_each(|waiting| waiting.push(call));
            }
            Event::Returned(call) => {
                self.waiting.iter_mut().for_each(|waiting| waiting.push(call));
            }
            Event::Lost(call) if self.waiting.is_some() => self.on_lost(call),
            Event::Answered(call) => {
                assert!(self.answered.insert(call), "{call}: its answer began twice");
                assert!(!self.ended.contains_key(&call), "{call}: its answer began after its end");
                return;
            }
            Event::Ended { call, user, end } => {
                assert_eq!(user, Some(call), "what the owner knew");
                assert!(self.ended.insert(call, end).is_none(), "{call}: told twice");
                return;
            }
            _ => {}
        }
        self.events.push(event);
    }

    fn on_lost(&mut self, call: CallId) {
        if self.switch.calls.get(&call).is_some_and(|call| call.is_answered) {
            self.switch.end_with(call, &fields(&[("grpc-status", "14")]));
        } else {
            self.switch.answer(call, &fields(&[(":status", "502")]), Bytes::new());
        }
    }

    pub(crate) fn forward(&mut self, call: CallId, lane: LaneId) -> bool {
        self.switch.forward(call, lane, &REWRITE)
    }

    /// A lane is over, and so is its upstream.
    pub(crate) fn end_lane(&mut self, lane: LaneId, delivered: Option<u64>) -> End {
        self.switch.lane_ended(lane, delivered);
        self.on_events();
        self.lanes.remove(&lane).expect("a lane")
    }

    // --- what the client does ---

    /// Begins a call on a lane. Its number is in the field `call`.
    pub(crate) fn call(&mut self, lane: LaneId, end: bool) -> u32 {
        self.call_with(lane, &[], end)
    }

    pub(crate) fn call_with(&mut self, lane: LaneId, more: &[(&str, &str)], end: bool) -> u32 {
        let next = self.client.streams.last_key_value().map_or(1, |(last, _)| last + 2);
        let (number, lane) = (next.to_string(), lane.to_string());
        let head = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/a.B/C"),
            (":authority", "a.test"),
            ("call", &number),
            ("lane", &lane),
        ];
        self.client.open(&fields(&[&head[..], more].concat()), end)
    }

    // --- what is to be seen ---

    /// The stream of a call on a lane.
    pub(crate) fn stream_on(&self, call: u32, lane: LaneId) -> u32 {
        let is_it = |id: &&u32| self.lanes[&lane].tag(**id) == call;
        *self.lanes[&lane].streams.keys().rfind(is_it).expect("a stream")
    }

    pub(crate) fn answer(&mut self, call: u32, lane: LaneId, list: &[(&str, &str)], end: bool) {
        let stream = self.stream_on(call, lane);
        self.lane(lane).fields(stream, &fields(list), end);
    }

    /// Nothing is left of any call.
    pub(crate) fn assert_empty(&self) {
        let switch = &self.switch;
        assert_eq!(switch.calls(), 0);
        assert_eq!((switch.held(), switch.orphaned), (0, 0));
        for lane in switch.lanes.iter().flatten() {
            assert_eq!((lane.up_held, lane.down_held, lane.streams.len()), (0, 0, 0));
            assert_eq!(lane.ahead, 0);
        }
        assert_eq!(self.ended.len() as u32, self.begun);
    }

    pub(crate) fn ended_by(&self, call: u32) -> Option<crate::How> {
        self.ended.get(&call).map(|end| end.how)
    }

    pub(crate) fn reset_of(&self, call: u32) -> Option<Reason> {
        self.client.streams[&call].reset
    }
}

pub(crate) fn text(fields: &Fields) -> Vec<String> {
    let line = |field: http2::fields::Field<'_>| {
        let (name, value) =
            (String::from_utf8_lossy(field.name), String::from_utf8_lossy(field.value));
        format!("{name}={value}")
    };
    fields.iter().map(line).collect()
}

pub(crate) fn window(bytes: u32) -> Settings {
    Settings { initial_window_size: Some(bytes), ..Settings::default() }
}

/// The head of an answer as gRPC has it.
pub(crate) const OK: [(&str, &str); 2] = [(":status", "200"), ("content-type", "application/grpc")];
pub(crate) const FINE: [(&str, &str); 1] = [("grpc-status", "0")];
