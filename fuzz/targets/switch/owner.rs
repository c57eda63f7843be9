//! What the owner of the switch does when it is told something, and otherwise.

use bytes::Bytes;
use http2::error::Reason;
use http2::fields::{Fields, Indexing};
use switch::{CallId, Event, LaneId, Rewrite};

use crate::world::World;

const REWRITE: Rewrite<'_> = Rewrite { scheme: b"http", authority: None, otherwise: b"name", is_ours: false };
/// How often a call is sent once more to an upstream that speaks.
const REPLAYS: u8 = 2;
/// With which it resets.
const REASONS: [Reason; 4] =
    [Reason::CANCEL, Reason::REFUSED_STREAM, Reason::ENHANCE_YOUR_CALM, Reason::INTERNAL_ERROR];

/// What the owner knows of a call.
#[derive(Debug, Default)]
pub struct Known {
    lane: Option<LaneId>,
    returns: u8,
    is_answered: bool,
    has_ended: bool,
}

fn list(fields: &[(&str, &str)]) -> Fields {
    let mut list = Fields::new();
    for (name, value) in fields {
        list.push(name.as_bytes(), value.as_bytes(), Indexing::Without);
    }
    list
}

impl World<'_> {
    /// Takes an event, and decides.
    pub fn on_event(&mut self, event: Event<u32>) {
        match event {
            Event::Call(call) => {
                assert!(self.calls.insert(call, Known::default()).is_none(), "{call} began twice");
                *self.switch.user(call).expect("a call that has just begun") = Some(call);
                self.decide(call);
            }
            Event::Returned(call) => {
                let lane = self.calls[&call].lane;
                let has_spoken = lane.is_some_and(|lane| self.switch.has_spoken(lane));
                let known = self.calls.get_mut(&call).expect("a call");
                known.returns += u8::from(has_spoken);
                assert!(!known.has_ended, "{call} returns after its end");
                assert!(known.returns <= REPLAYS, "{call} returns too often");
                self.decide(call);
            }
            Event::Lost(call) => {
                assert!(!self.calls[&call].has_ended, "{call} is lost after its end");
                self.decide(call);
            }
            Event::Answered(call) => {
                let known = self.calls.get_mut(&call).expect("a call that has begun");
                assert!(!known.has_ended, "{call} is answered after its end");
                assert!(!std::mem::replace(&mut known.is_answered, true), "{call} is answered twice");
            }
            Event::Ended { call, user, .. } => {
                assert_eq!(user, Some(call), "what the owner knew");
                let known = self.calls.get_mut(&call).expect("a call that has begun");
                assert!(!std::mem::replace(&mut known.has_ended, true), "{call} ended twice");
            }
            Event::LaneFailed(lane, _) => {
                self.lanes.get_mut(&lane).expect("a lane").has_failed = true;
                if self.draw.byte() < 128 {
                    self.end_lane(lane);
                }
            }
            Event::Goaway { lane, .. } | Event::LaneReady(lane) | Event::LaneRoom(lane) => {
                assert!(self.lanes.contains_key(&lane), "of a lane that is not there");
            }
            Event::DrainHeard => {}
        }
    }

    /// Does something about a call, or nothing.
    fn decide(&mut self, call: CallId) {
        match self.draw.byte() {
            0..160 => self.forward(call),
            160..176 => {}
            _ => self.act_on(call),
        }
    }

    fn forward(&mut self, call: CallId) {
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        let lane = self.draw.byte();
        let Some(lane) = lanes.get(usize::from(lane) % lanes.len().max(1)).copied() else {
            return self.switch.refuse(call);
        };
        let had_place = !self.switch.is_closing(lane)
            && self.switch.calls_on(lane) < self.switch.max_streams(lane) as usize;
        let is_fit = self.switch.unfit(call).is_none();
        if self.switch.forward(call, lane, &REWRITE) {
            assert!(had_place && is_fit, "{call} is forwarded");
            self.calls.get_mut(&call).expect("a call").lane = Some(lane);
        }
    }

    /// The owner acts on any call, at any time.
    pub fn act(&mut self) {
        let calls: Vec<CallId> = self.calls.keys().rev().take(6).copied().collect();
        let nth = self.draw.byte();
        if let Some(call) = calls.get(usize::from(nth) % calls.len().max(1)) {
            self.act_on(*call);
        }
        self.on_events();
    }

    fn act_on(&mut self, call: CallId) {
        let (what, reason) = (self.draw.below(8), self.draw.one(&REASONS));
        match what {
            0 => self.forward(call),
            1 => self.switch.answer(call, &list(&[(":status", "502")]), Bytes::new()),
            2 => {
                let body = Bytes::from(vec![b'b'; 100 * usize::from(self.draw.byte())]);
                self.switch.answer(call, &list(&[(":status", "200")]), body);
            }
            3 if self.switch.is_answered(call) => {
                self.switch.end_with(call, &list(&[("grpc-status", "14")]));
            }
            3 | 4 => self.switch.reset(call, reason),
            // An answer that has begun is not refused.
            5 if !self.switch.is_answered(call) => self.switch.refuse(call),
            6 => self.switch.breach(call, Reason::PROTOCOL_ERROR),
            _ => self.switch.sweep(),
        }
    }

    /// Every call that began has ended.
    pub fn check_ended(&self) {
        let left: Vec<_> = self.calls.iter().filter(|(_, known)| !known.has_ended).collect();
        assert!(left.is_empty(), "the owner was not told of an end: {left:?}");
    }
}
