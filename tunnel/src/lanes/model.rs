//! Two muxes joined by queues of messages, and what holds whatever their users do and however messages travel.
//!
//! A script of bytes, two a step, says what happens: so that fuzzers and generators can write it, and shrink it.
//! After every step: bytes come out as they went in; no credit is lost or made up; what waits is bounded. At the
//! end, when everybody reads: nothing is left on its way, every lane has room again, and lanes that both ends have
//! finished are forgotten.

mod content;

use std::collections::{BTreeMap, VecDeque};
use std::io::IoSlice;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::ReadBuf;

use self::content::content;
use super::frame::{Frame, Open, ResetCode, Source};
use super::memory::LaneMemory;
use super::{Event, Mux, Role};
use crate::limits::{
    LANE_ABANDONED_SWEEPS, LANE_CREDIT_GROWN, LANE_FIRST_CREDIT, LANE_FRAMES_EXPLAINED, LANE_QUEUE,
};

const HUB: usize = 0;
const AGENT: usize = 1;

const WIRE: usize = 12;
/// Lanes that users of the hub hold at once; some are more than the agent takes.
const LANES: usize = 6;
const MAX_LANES: usize = 4;
/// What the lanes of an end may promise: some grow, and not all can.
const MEMORY: usize = 1 << 20;
/// Frames that nothing explains, of an end that keeps the rules.
const UNEXPLAINED: u32 = 8;
const SIZES: [usize; 8] = [1, 2, 100, 2047, 2048, 16_384, 17_000, 70_000];

/// Plays the script.
///
/// # Panics
/// Something does not hold.
pub fn run(script: &[u8]) {
    let mut world = World::new();
    for step in script.chunks(2) {
        world.step(step[0], step.get(1).copied().unwrap_or_default());
        world.check();
    }
    world.finish();
}

struct World {
    ends: [End; 2],
    /// All that there ever were.
    lanes: BTreeMap<u32, Lane>,
}

struct End {
    mux: Mux,
    memory: LaneMemory,
    now: Duration,
    /// What it has sent and the other has not received.
    wire: VecDeque<Bytes>,
    /// Lanes that its users hold.
    users: Vec<u32>,
    /// Frames that the other may send without need, as the driver counts them.
    explained: u32,
}

/// What is said on a lane, by the hub and by the agent.
#[derive(Debug, Default)]
struct Lane {
    said: [Said; 2],
    delivered: u64,
    /// Somebody has cut it, or left it.
    is_cut: bool,
}

#[derive(Debug, Default)]
struct Said {
    written: u64,
    read: u64,
    finished: bool,
    fin_heard: bool,
    /// On their way: bytes, credit, and credit given back.
    data: u64,
    credit: u64,
    returned: u64,
}

impl World {
    fn new() -> Self {
        let end = |role, memory: LaneMemory| End {
            mux: Mux::new(role, memory.clone()),
            memory,
            now: Duration::ZERO,
            wire: VecDeque::new(),
            users: Vec::new(),
            explained: UNEXPLAINED,
        };
        let ends = [Role::Hub, Role::Agent { max_lanes: MAX_LANES }]
            .map(|role| end(role, LaneMemory::new(MEMORY)));
        Self { ends, lanes: BTreeMap::new() }
    }

    fn step(&mut self, op: u8, arg: u8) {
        let (end, arg) = (usize::from(op >> 7), usize::from(arg));
        let users = &self.ends[end].users;
        let id = users.get(arg / 8 % users.len().max(1)).copied();
        match (op & 0x0f, id) {
            (0, _) => self.open(arg),
            (1, _) => self.send(end, 1 + arg % 4),
            (2, _) => self.receive(end, 1 + arg % 4),
            (3, _) => self.send(end, usize::MAX),
            (4, _) => self.receive(end, usize::MAX),
            (5, _) => self.sweep(end),
            (15, _) => self.pass(end, arg as u64),
            (6..=8, Some(id)) => drop(self.write(end, id, SIZES[arg % 8])),
            (9 | 10, Some(id)) => drop(self.read(end, id, SIZES[arg % 8])),
            (11, Some(id)) => self.pour(end, id),
            (12, Some(id)) => self.finish_lane(end, id),
            (13, Some(id)) => self.delivered(id, arg as u64),
            // Seldom, or little is left to look at.
            (14, Some(id)) if arg & 6 == 0 => self.leave(end, id, arg & 1 == 0),
            _ => {}
        }
    }

    // --- what users do ---

    fn open(&mut self, arg: usize) {
        let hub = &mut self.ends[HUB];
        if hub.users.len() < LANES {
            let open = Open { source: Source(arg as u64 % 3), nth: arg as u16, agent: None };
            let Some(id) = hub.mux.open(open) else { panic!("there are numbers left") };
            hub.users.push(id);
            self.lanes.insert(id, Lane::default());
        }
    }

    fn write(&mut self, end: usize, id: u32, size: usize) -> usize {
        let content = content(id, end, self.said(id)[end].written, size);
        let (head, tail) = content.split_at(size / 3);
        let written = self.ends[end].mux.write(id, &[head, tail].map(IoSlice::new));
        self.said(id)[end].written += written as u64;
        written
    }

    fn read(&mut self, end: usize, id: u32, size: usize) -> usize {
        let mut space = vec![0; size];
        let mut buf = ReadBuf::new(&mut space);
        self.ends[end].mux.read(id, &mut buf);
        let said = &mut self.said(id)[1 - end];
        let len = buf.filled().len();
        assert!(buf.filled() == content(id, 1 - end, said.read, len), "lane {id}: others");
        said.read += len as u64;
        assert!(said.read <= said.written, "bytes are made up");
        len
    }

    /// Writes, and sends all of it, until the credit is used up.
    fn pour(&mut self, end: usize, id: u32) {
        while self.write(end, id, LANE_QUEUE) > 0 {
            self.send(end, usize::MAX);
            self.receive(1 - end, usize::MAX);
        }
    }

    fn finish_lane(&mut self, end: usize, id: u32) {
        self.ends[end].mux.finish(id);
        self.said(id)[end].finished = true;
    }

    fn delivered(&mut self, id: u32, bytes: u64) {
        if self.ends[AGENT].mux.account(id).is_some() {
            self.ends[AGENT].mux.delivered(id, bytes);
            self.lane(id).delivered += bytes;
        }
    }

    fn leave(&mut self, end: usize, id: u32, reset: bool) {
        let End { mux, users, .. } = &mut self.ends[end];
        if reset {
            mux.reset(id, ResetCode::Unreachable, "gone")
        } else {
            mux.abandon(id)
        }
        users.retain(|other| *other != id);
        self.lane(id).is_cut = true;
    }

    fn pass(&mut self, end: usize, millis: u64) {
        let End { mux, now, .. } = &mut self.ends[end];
        *now += Duration::from_millis(10 * millis);
        mux.passed(*now, Some(Duration::from_millis(10)));
    }

    fn sweep(&mut self, end: usize) {
        self.ends[end].mux.sweep();
    }

    // --- what travels ---

    fn send(&mut self, end: usize, messages: usize) {
        for _ in 0..messages {
            let from = &mut self.ends[end];
            if from.wire.len() >= WIRE {
                return;
            }
            let Some((message, _)) = from.mux.next_message() else { return };
            from.explained += LANE_FRAMES_EXPLAINED;
            let message = Bytes::from(message);
            from.wire.push_back(message.clone());
            self.tally(end, message, |sum, bytes| *sum += bytes);
        }
    }

    /// Adds a message to what is on its way from `end`, or takes it off.
    fn tally(&mut self, end: usize, message: Bytes, tally: impl Fn(&mut u64, u64)) {
        let Ok((id, frame)) = Frame::read(message) else { panic!("no frame") };
        let said = &mut self.said(id)[end];
        match frame {
            Frame::Data(bytes) => tally(&mut said.data, bytes.len() as u64),
            Frame::Credit(bytes) => tally(&mut said.credit, bytes.into()),
            Frame::Return(bytes) => tally(&mut said.returned, bytes.into()),
            _ => {}
        }
    }

    fn receive(&mut self, end: usize, messages: usize) {
        for _ in 0..messages {
            let Some(message) = self.ends[1 - end].wire.pop_front() else {
                return;
            };
            self.tally(1 - end, message.clone(), |sum, bytes| *sum -= bytes);
            let kind = message[0];
            match self.ends[end].mux.receive(message) {
                Ok((id, event)) => {
                    assert!(
                        kind != 0 || event != Event::Ignored,
                        "bytes that there was no credit for"
                    );
                    self.explain(end, &event);
                    self.heard(end, id, &event);
                }
                Err(violation) => panic!("{violation}"),
            }
        }
    }

    fn explain(&mut self, end: usize, event: &Event) {
        let explained = &mut self.ends[end].explained;
        match event {
            Event::Readable | Event::Opened(_) | Event::Refused => {
                *explained += LANE_FRAMES_EXPLAINED
            }
            Event::Late => {}
            _ if *explained > 0 => *explained -= 1,
            _ => panic!("an honest peer floods"),
        }
    }

    fn heard(&mut self, end: usize, id: u32, event: &Event) {
        let lane = self.lane(id);
        match event {
            Event::Opened(_) => self.ends[end].users.push(id),
            Event::Finished { delivered } => {
                assert!(lane.said[1 - end].finished, "an end is made up");
                assert!(*delivered <= lane.delivered && (end == HUB || *delivered == 0));
                lane.said[1 - end].fin_heard = true;
            }
            Event::Reset { .. } | Event::Refused => lane.is_cut = true,
            Event::Late => assert!(lane.is_cut, "bytes are dropped"),
            Event::Readable | Event::Writable | Event::Ignored => {}
        }
    }

    // --- what holds ---

    fn check(&self) {
        assert!(self.ends[AGENT].mux.len() <= MAX_LANES);
        for End { mux, memory, .. } in &self.ends {
            let accounts = self.lanes.keys().filter_map(|id| mux.account(*id));
            let held = accounts.map(|account| account.granted as usize + account.unread);
            let more: usize =
                held.map(|held| held.saturating_sub(LANE_FIRST_CREDIT as usize)).sum();
            assert!(more <= memory.promised() && memory.promised() <= MEMORY, "{more} is kept");
        }
        for (id, lane) in &self.lanes {
            let accounts = [HUB, AGENT].map(|end| self.ends[end].mux.account(*id));
            for account in accounts.into_iter().flatten() {
                assert!(
                    account.granted as usize + account.unread <= LANE_CREDIT_GROWN as usize,
                    "{account:?}"
                );
                assert!(account.queued <= LANE_QUEUE, "{account:?}");
            }
            let [Some(hub), Some(agent)] = accounts else { continue };
            for (end, [from, to]) in [[hub, agent], [agent, hub]].into_iter().enumerate() {
                let [said, answered] = [&lane.said[end], &lane.said[1 - end]];
                let here = u64::from(from.credit) + from.queued as u64 + u64::from(from.return_due);
                let there = said.data + said.returned + answered.credit + u64::from(to.credit_due);
                let granted = u64::from(to.granted);
                assert!(
                    to.peer_finished || here + there == granted,
                    "{id}: {from:?} {to:?} {lane:?}"
                );
            }
        }
    }

    /// Lets everybody read, and all messages arrive.
    fn settle(&mut self) {
        loop {
            let mut moved = 0;
            for end in [HUB, AGENT] {
                for id in self.ends[end].users.clone() {
                    moved += self.read(end, id, self.ends[end].mux.readable(id));
                }
                self.send(end, usize::MAX);
                moved += self.ends[end].wire.len();
                self.receive(1 - end, usize::MAX);
                self.check();
            }
            if moved == 0 {
                return;
            }
        }
    }

    fn finish(mut self) {
        self.settle();
        let whole: Vec<u32> =
            self.lanes.iter().filter(|(_, lane)| !lane.is_cut).map(|(id, _)| *id).collect();
        for &id in &whole {
            self.check_settled(id);
            [HUB, AGENT].into_iter().for_each(|end| self.finish_lane(end, id));
        }
        self.settle();
        for &id in &whole {
            self.check_settled(id);
            assert!(self.ends.iter().all(|end| end.mux.account(id).is_none()), "lane {id} is kept");
        }
        // Whoever still holds a lane leaves it, after an end or without one; who is left alone ends it by and by.
        for end in [HUB, AGENT] {
            for id in self.ends[end].users.clone() {
                if id % 2 == 0 {
                    self.finish_lane(end, id);
                }
                self.leave(end, id, false);
            }
        }
        for _ in 0..=LANE_ABANDONED_SWEEPS {
            [HUB, AGENT].into_iter().for_each(|end| self.sweep(end));
            self.settle();
        }
        assert!(self.ends.iter().all(|end| end.mux.is_clean()), "something is kept");
        assert!(self.ends.iter().all(|end| end.memory.promised() == 0), "a promise is kept");
    }

    /// Nothing of the lane is on its way, and there is room for more.
    fn check_settled(&mut self, id: u32) {
        for end in [HUB, AGENT] {
            let said = &self.said(id)[end];
            assert_eq!(said.written, said.read, "lane {id}: bytes are stuck");
            assert_eq!(said.finished, said.fin_heard, "lane {id}: an end is stuck");
            if said.finished {
                assert!(self.ends[1 - end].mux.is_read_to_end(id), "lane {id}: no end");
            } else {
                let room = LANE_FIRST_CREDIT as usize / 2;
                assert!(self.write(end, id, room) == room, "lane {id}: no room");
            }
        }
    }

    fn lane(&mut self, id: u32) -> &mut Lane {
        self.lanes.entry(id).or_default()
    }

    fn said(&mut self, id: u32) -> &mut [Said; 2] {
        &mut self.lane(id).said
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn two_ends_agree_whatever_their_users_do(script in vec(any::<u8>(), 0..800)) {
            run(&script);
        }
    }
}
