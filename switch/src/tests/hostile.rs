//! Frames that nobody should send, from both sides: nothing panics, no account goes wrong, and nothing is left.

use bytes::Bytes;
use http2::error::Reason;
use http2::frame::{Head, PREFACE, kind};
use proptest::collection::vec;
use proptest::prelude::*;

use super::end::fields;
use super::world::REWRITE;
use crate::{Event, Limits, Switch, Unguarded};

const LANES: usize = 2;

/// Side, kind, flags, stream, payload.
type Frame = (u8, u8, u8, u32, Vec<u8>);

struct Hostile {
    switch: Switch<(), Unguarded>,
    begun: usize,
    ended: usize,
}

fn bytes(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Bytes {
    let head = Head { len: payload.len(), kind, flags, stream };
    [&head.bytes()[..], payload].concat().into()
}

impl Hostile {
    fn new() -> Self {
        let switch = Switch::new(Limits { max_calls: 8 }, Unguarded);
        let mut hostile = Self { switch, begun: 0, ended: 0 };
        hostile.switch.client_came(Bytes::from_static(PREFACE));
        hostile.switch.client_came(bytes(kind::SETTINGS, 0, 0, b""));
        (0..LANES).for_each(|_| hostile.open_lane());
        hostile
    }

    fn open_lane(&mut self) {
        let lane = self.switch.open_lane(100, Unguarded);
        self.switch.lane_came(lane, bytes(kind::SETTINGS, 0, 0, b""));
    }

    fn play(&mut self, (side, kind, flags, stream, mut payload): Frame) {
        let (lane, is_client) = (usize::from(side) % LANES, side % 4 < 2);
        if kind == kind::HEADERS && payload.len() > 10 {
            // `POST http / :authority: a`, or `:status: 200`.
            payload = if is_client { b"\x83\x86\x84\x41\x01a".into() } else { b"\x88".into() };
        }
        let frame = bytes(kind, flags, stream, &payload);
        if is_client {
            self.switch.client_came(frame)
        } else {
            self.switch.lane_came(lane, frame)
        }
        self.hear();
        // Some of what is to be written is, in pieces.
        if side & 16 == 0 {
            if side & 32 == 0 {
                self.switch.answer_pings();
            }
            let output = self.switch.client_output();
            output.advance(usize::from(side) * 64);
            self.switch.write_lane(lane, |output| output.advance(usize::from(side) * 64));
            self.hear();
        }
    }

    fn hear(&mut self) {
        loop {
            match self.switch.next_of_client() {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => break,
                Err(error) => self.switch.fail_client(error),
            }
        }
        for lane in 0..LANES {
            while let Some(event) = self.switch.next_of_lane(lane) {
                self.on_event(event);
            }
        }
    }

    fn on_event(&mut self, event: Event<()>) {
        let bad = fields(&[(":status", "502")]);
        match event {
            Event::Call(call) => {
                self.begun += 1;
                if !self.switch.forward(call, call as usize / 2 % LANES, &REWRITE) {
                    self.switch.answer(call, &bad, Bytes::from_static(&[0; 5000]));
                }
            }
            Event::Returned(call) => {
                let again = self.switch.forward(call, call as usize % LANES, &REWRITE);
                if !again {
                    self.switch.reset(call, Reason::CANCEL);
                }
            }
            Event::Lost(call) => {
                self.switch.answer(call, &bad, Bytes::new());
                self.switch.end_with(call, &fields(&[("grpc-status", "14")]));
            }
            Event::Ended { .. } => self.ended += 1,
            Event::LaneFailed(lane, _) => {
                self.switch.lane_ended(lane, None);
                self.open_lane();
            }
            _ => {}
        }
    }

    fn check(&self) {
        let Switch { calls, lanes, client_held, kept, .. } = &self.switch;
        assert_eq!(*client_held, calls.values().map(|call| call.up.held.len()).sum::<usize>());
        assert_eq!(*kept, calls.values().map(|call| call.kept_len()).sum::<usize>());
        let (mut up, mut down) = ([0; LANES], [0; LANES]);
        for call in calls.values() {
            if let Some((lane, _)) = call.on_lane() {
                up[lane] += call.up.held.len();
                down[lane] += call.down.held.len();
            }
        }
        for (id, lane) in lanes.iter().enumerate() {
            let accounts = lane.as_ref().map(|lane| (lane.up_held, lane.down_held));
            assert_eq!(accounts, Some((up[id], down[id])));
        }
    }
}

fn frame() -> impl Strategy<Value = Frame> {
    let kinds = prop_oneof![Just(kind::DATA), Just(kind::HEADERS), 0..11_u8];
    let flags = prop_oneof![Just(4_u8), Just(5_u8), Just(0_u8), any::<u8>()];
    let payload =
        prop_oneof![vec(any::<u8>(), 0..40), vec(Just(0_u8), 4..9), vec(Just(7_u8), 3000)];
    (any::<u8>(), kinds, flags, prop_oneof![0..16_u32, Just(1_u32), Just(3_u32)], payload)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_frame_does_harm(frames in vec(frame(), 0..80)) {
        let mut hostile = Hostile::new();
        for frame in frames {
            hostile.play(frame);
            hostile.check();
        }
        hostile.switch.client_gone();
        hostile.hear();
        hostile.check();
        prop_assert_eq!((hostile.switch.calls(), hostile.begun), (0, hostile.ended));
    }
}
