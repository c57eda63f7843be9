//! Whatever a client, its upstreams and the owner do, and however bytes travel: what the oracle says holds.
//!
//! A script says what happens, two bytes a step: so that generators can write it, and shrink it. At the end
//! everybody reads and ends what is open: then nothing is left, and every call has ended once.

use std::collections::BTreeMap;
use std::time::Duration;

use http2::error::Reason;
use proptest::collection::vec;
use proptest::prelude::*;

use super::end::{Returns, fields};
use super::oracle::brief;
use super::world::{FINE, OK, World, window};
use crate::LaneId;

const SIZES: [usize; 8] = [1, 100, 3000, 16_384, 17_000, 40_000, 70_000, 300_000];
const WINDOWS: [u32; 8] = [65_535, 0, 1, 1000, 20_000, 100_000, 1 << 20, (1 << 31) - 1];
const CHUNKS: [usize; 4] = [usize::MAX, 7, 1000, 20_000];
const LANES: usize = 3;
const CALLS: usize = 24;

pub(super) struct Model {
    pub(super) world: World,
    /// What upstreams have given to calls at most.
    pub(super) gave: BTreeMap<u32, i64>,
    /// How far ahead of the client the upstreams of calls were at most.
    pub(super) ahead: BTreeMap<u32, i64>,
    /// How late it is.
    now: Duration,
    /// The largest first window that the client ever had.
    pub(super) most_first: i64,
    /// And any upstream.
    pub(super) most_given: i64,
}

/// Plays the script.
///
/// # Panics
/// Something does not hold.
fn run((setup, windows): (u8, u8), script: &[(u8, u8)]) {
    let mut model = Model::new(usize::from(setup), usize::from(windows));
    for (op, arg) in script {
        model.step(usize::from(*op), usize::from(*arg));
        model.check();
    }
    model.finish();
}

impl Model {
    fn new(setup: usize, windows: usize) -> Self {
        let (client, upstream) = (WINDOWS[windows % 8], WINDOWS[windows / 8 % 8]);
        let mut world = World::new(2, &window(client), &window(upstream));
        world.client.returns = [Returns::OnReceipt, Returns::OnRead, Returns::Never][setup % 3];
        world.lane(0).returns =
            [Returns::OnRead, Returns::OnReceipt, Returns::Never][setup / 3 % 3];
        world.chunk = CHUNKS[setup / 9 % 4];
        world.waiting = Some(Vec::new());
        let (most_first, most_given) = (client.into(), 0);
        let (gave, ahead) = (BTreeMap::new(), BTreeMap::new());
        Self { world, gave, ahead, now: Duration::ZERO, most_first, most_given }
    }

    fn step(&mut self, op: usize, arg: usize) {
        match op % 32 {
            0..=2 => self.call(arg),
            3..=5 => self.client_says(arg),
            6 => self.client_ends(arg),
            7 => drop(self.client_stream(arg / 8).map(|id| self.world.client.read(id))),
            8 if arg.is_multiple_of(4) => self.client_resets(arg / 4),
            9 => self.client_settings(arg),
            10..=12 => self.upstream_says(arg),
            13 => self.upstream_answers(arg),
            14 => self.upstream_ends(arg),
            15 if arg.is_multiple_of(2) => self.upstream_resets(arg / 2),
            16 => self.upstream_reads(arg),
            17 => self.upstream_settings(arg),
            18 if arg.is_multiple_of(4) => self.goaway(arg / 4),
            19 if arg.is_multiple_of(4) => self.lane_ends(arg / 4),
            20 => self.owner_acts(arg),
            21 => self.world.forwards ^= true,
            22 => self.forward_waiting(arg),
            23 => self.pad(arg),
            24 => drop(self.world.client_speaks()),
            25 => drop(self.world.client_hears()),
            26 => drop(self.lane(arg).map(|lane| self.world.lane_speaks(lane))),
            28 => self.flood(),
            29 => self.upstream_grants(arg),
            27 => drop(self.lane(arg).map(|lane| self.world.lane_hears(lane))),
            30 => self.time_passes(arg),
            _ => self.settle(),
        }
    }

    fn time_passes(&mut self, arg: usize) {
        self.now += Duration::from_millis(arg as u64);
        self.world.switch.passed(self.now);
        if let Some(lane) = self.lane(arg) {
            self.world.switch.is_so_far(lane, Duration::from_millis(arg as u64 % 16));
            self.world.may_promise(lane, SIZES[arg / 16 % 8]);
        }
    }

    pub(super) fn settle(&mut self) {
        let chunk = std::mem::replace(&mut self.world.chunk, usize::MAX);
        self.world.pump();
        self.world.chunk = chunk;
        self.check();
        self.check_quiet();
    }

    // --- the client ---

    fn call(&mut self, arg: usize) {
        if self.world.client.streams.values().filter(|call| !call.is_over()).count() < CALLS {
            self.world.call(arg % 2, arg.is_multiple_of(4));
        }
    }

    /// One of the client's streams on which it may still say something.
    fn client_stream(&self, arg: usize) -> Option<u32> {
        let open = |stream: &super::end::Stream| !stream.has_reset && stream.reset.is_none();
        let streams = self.world.client.streams.iter().filter(|(_, stream)| open(stream));
        let ids: Vec<u32> = streams.map(|(id, _)| *id).collect();
        ids.get(arg % ids.len().max(1)).copied()
    }

    fn sending_stream(&self, arg: usize) -> Option<u32> {
        let stream = self.client_stream(arg)?;
        Some(stream).filter(|id| !self.world.client.streams[id].has_ended)
    }

    fn client_says(&mut self, arg: usize) {
        if let Some(id) = self.sending_stream(arg / 8) {
            self.world.client.data(id, SIZES[arg % 8], arg.is_multiple_of(64));
        }
    }

    /// All calls send what they may.
    fn flood(&mut self) {
        let sending: Vec<u32> = (0..CALLS).filter_map(|arg| self.sending_stream(arg)).collect();
        for id in sending {
            self.world.client.data(id, SIZES[6], false);
        }
        self.world.client_speaks();
    }

    fn client_ends(&mut self, arg: usize) {
        let Some(id) = self.sending_stream(arg / 2) else { return };
        if arg.is_multiple_of(2) {
            self.world.client.fields(id, &fields(&[("t", "1")]), true);
        } else {
            self.world.client.data(id, 0, true);
        }
    }

    fn client_resets(&mut self, arg: usize) {
        let Some(id) = self.client_stream(arg) else { return };
        let stream = &self.world.client.streams[&id];
        if !(stream.ended && stream.has_ended) {
            self.world.client.reset(id, Reason::CANCEL);
        }
    }

    fn client_settings(&mut self, arg: usize) {
        // With the largest window, or near it, a WINDOW_UPDATE is one too many.
        let bytes = WINDOWS[arg % 7];
        self.most_first = self.most_first.max(bytes.into());
        let most = self.world.client.streams.values().map(|stream| stream.recv).max();
        if most.unwrap_or_default() + i64::from(bytes) < i64::from(u32::MAX >> 1) {
            self.world.client.settings(&window(bytes));
        }
    }

    fn pad(&mut self, arg: usize) {
        if let Some(id) = self.sending_stream(arg) {
            self.world.client.padded(id, arg, 255);
        }
        if let Some((lane, stream)) = self.upstream_stream(arg, true) {
            self.world.lane(lane).padded(stream, arg, 200);
        }
    }

    // --- upstreams ---

    fn lane(&self, arg: usize) -> Option<LaneId> {
        let ids: Vec<LaneId> = self.world.lanes.keys().copied().collect();
        ids.get(arg % ids.len().max(1)).copied()
    }

    /// A stream on which an upstream may still say something, its answer having begun or not.
    fn upstream_stream(&self, arg: usize, answered: bool) -> Option<(LaneId, u32)> {
        let lane = self.lane(arg)?;
        let open = |stream: &super::end::Stream| {
            !stream.has_reset && stream.reset.is_none() && !stream.has_ended
        };
        let streams = self.world.lanes[&lane].streams.iter();
        let streams = streams.filter(|(_, stream)| open(stream) && stream.has_answered == answered);
        let ids: Vec<u32> = streams.map(|(id, _)| *id).collect();
        Some((lane, ids.get(arg / 4 % ids.len().max(1)).copied()?))
    }

    fn upstream_answers(&mut self, arg: usize) {
        let Some((lane, stream)) = self.upstream_stream(arg, false) else { return };
        if arg.is_multiple_of(5) {
            self.world.lane(lane).fields(stream, &fields(&[(":status", "103")]), false);
        }
        self.world.lane(lane).fields(stream, &fields(&OK), arg.is_multiple_of(8));
    }

    fn upstream_says(&mut self, arg: usize) {
        let Some((lane, stream)) = self.upstream_stream(arg / 8, true) else {
            return self.upstream_answers(arg);
        };
        self.world.lane(lane).data(stream, SIZES[arg % 8], arg.is_multiple_of(64));
    }

    fn upstream_ends(&mut self, arg: usize) {
        let Some((lane, stream)) = self.upstream_stream(arg, true) else { return };
        self.world.lane(lane).fields(stream, &fields(&FINE), true);
        // As it does where it wants no more of the request.
        if arg.is_multiple_of(3) && !self.world.lanes[&lane].streams[&stream].ended {
            self.world.lane(lane).reset(stream, Reason::NO_ERROR);
        }
    }

    fn upstream_resets(&mut self, arg: usize) {
        let codes = [Reason::CANCEL, Reason::REFUSED_STREAM, Reason::NO_ERROR];
        if let Some((lane, stream)) = self.upstream_stream(arg, arg.is_multiple_of(3)) {
            self.world.lane(lane).reset(stream, codes[arg / 16 % 3]);
        }
    }

    fn upstream_reads(&mut self, arg: usize) {
        let Some(lane) = self.lane(arg) else { return };
        self.world.lane(lane).read_all();
    }

    fn upstream_grants(&mut self, arg: usize) {
        let Some((lane, stream)) = self.upstream_stream(arg, arg.is_multiple_of(3)) else { return };
        let upstream = self.world.lane(lane);
        if upstream.streams[&stream].recv < 1 << 30 {
            upstream.grant(stream, SIZES[arg / 8 % 8] as u32);
        }
    }

    fn upstream_settings(&mut self, arg: usize) {
        let Some(lane) = self.lane(arg) else { return };
        let bytes = WINDOWS[arg / 4 % 7];
        let most = self.world.lanes[&lane].streams.values().map(|stream| stream.recv).max();
        if most.unwrap_or_default() + i64::from(bytes) < i64::from(u32::MAX >> 1) {
            self.world.lane(lane).settings(&window(bytes));
        }
        if arg.is_multiple_of(8) && self.world.lane(lane).returns == Returns::Never {
            let returned = std::mem::take(&mut self.world.lane(lane).unread);
            self.world.lane(lane).grant(0, returned);
        }
    }

    fn goaway(&mut self, arg: usize) {
        let Some(lane) = self.lane(arg) else { return };
        let upstream = self.world.lane(lane);
        let unanswered = upstream.streams.iter().find(|(_, stream)| !stream.has_answered);
        let last = unanswered.map_or(u32::MAX >> 1, |(id, _)| id - 1);
        upstream.goaway(last, [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM][arg / 4 % 2]);
        // It says no more of those that it has not looked at.
        let unseen = upstream.streams.range_mut(last..);
        unseen.for_each(|(_, stream)| stream.has_reset |= !stream.has_answered);
    }

    fn lane_ends(&mut self, arg: usize) {
        let Some(lane) = self.lane(arg) else { return };
        if arg.is_multiple_of(2) {
            while self.world.lane_speaks(lane) {}
        }
        let written = self.world.switch.lane(lane).map_or(0, |lane| lane.link.written);
        let delivered = [None, Some(0), Some(written), Some(written / 2)][arg / 4 % 4];
        self.world.end_lane(lane, delivered);
    }

    // --- the owner ---

    fn owner_acts(&mut self, arg: usize) {
        let ids: Vec<u32> = self.world.switch.calls.keys().copied().collect();
        let smallest = ids.iter().min().copied();
        match (arg % 8, smallest) {
            (0, Some(call)) => self.world.switch.reset(call, Reason::INTERNAL_ERROR),
            (1, Some(call)) => {
                let body = super::end::content(call, false, 0, SIZES[arg / 8 % 6]);
                self.world.switch.answer(call, &fields(&OK), body);
            }
            (2, _) => self.world.switch.sweep(),
            (3, _) if self.world.lanes.len() < LANES => self.open_lane(arg),
            _ => self.forward_waiting(arg),
        }
        self.world.on_events();
    }

    fn open_lane(&mut self, arg: usize) {
        let lane = self.world.open_lane();
        self.world.lane(lane).settings(&window(WINDOWS[arg / 8 % 8]));
    }

    fn forward_waiting(&mut self, arg: usize) {
        let Some(lane) = self.lane(arg) else { return self.open_lane(arg) };
        for call in self.world.waiting.replace(Vec::new()).unwrap_or_default() {
            let waits = |call: &crate::call::Call<u32>| call.at == crate::call::At::Waiting;
            if self.world.switch.calls.get(&call).is_some_and(|call| waits(call))
                && !self.world.forward(call, lane)
            {
                self.world.waiting.iter_mut().for_each(|waiting| waiting.push(call));
            }
        }
    }

    // --- the end ---

    /// Everybody reads, and ends what is open.
    fn finish(mut self) {
        self.world.forwards = true;
        for _ in 0..200 {
            self.finish_once();
            self.settle();
            if self.world.switch.calls() == 0 {
                break;
            }
        }
        let calls = &self.world.switch.calls;
        let left: Vec<String> = calls.iter().map(|(id, call)| brief(*id, call)).collect();
        assert!(left.is_empty(), "{left:?}");
        self.world.assert_empty();
        assert_eq!(self.world.error, None);
        let failed = |event: &crate::Event<u32>| matches!(event, crate::Event::LaneFailed(..));
        assert!(!self.world.events.iter().any(failed));
        self.check_whole();
    }

    fn finish_once(&mut self) {
        if self.world.lanes.is_empty()
            || !self.world.lanes.keys().any(|id| self.world.switch.has_room(*id))
        {
            self.open_lane(0);
        }
        (0..self.world.lanes.len()).for_each(|lane| self.forward_waiting(lane));
        let client = &mut self.world.client;
        client.returns = Returns::OnReceipt;
        let returned = std::mem::take(&mut client.unread);
        client.grant(0, returned);
        client.read_all();
        if client.recv_first < 65_535 {
            client.settings(&window(65_535));
            self.most_first = self.most_first.max(65_535);
        }
        for lane in self.world.lanes.keys().copied().collect::<Vec<_>>() {
            let upstream = self.world.lane(lane);
            upstream.returns = Returns::OnReceipt;
            let returned = std::mem::take(&mut upstream.unread);
            upstream.grant(0, returned);
            upstream.read_all();
            if upstream.recv_first < 65_535 {
                upstream.settings(&window(65_535));
            }
        }
        self.settle();
        for lane in 0..self.world.lanes.len() {
            while let Some((lane, stream)) = self.upstream_stream(lane, false) {
                self.world.lane(lane).fields(stream, &fields(&OK), false);
            }
            while let Some((lane, stream)) = self.upstream_stream(lane, true) {
                self.world.lane(lane).fields(stream, &fields(&FINE), true);
            }
        }
        for id in self.world.client.streams.keys().copied().collect::<Vec<_>>() {
            let stream = &self.world.client.streams[&id];
            if !stream.has_ended && !stream.has_reset && stream.reset.is_none() {
                self.world.client.data(id, 0, true);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_is_in_order(setup: (u8, u8), script in vec(any::<(u8, u8)>(), 0..400)) {
        run(setup, &script);
    }
}
