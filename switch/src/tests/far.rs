//! Agents that are far away: windows follow the link, and the upstream may be ahead of the client.

use std::time::Duration;

use http2::settings::Settings;

use super::world::{OK, World, window};
use crate::limits::{LANE_WINDOW, LANE_WINDOW_MAX};

const RTT: Duration = Duration::from_millis(100);
const FIRST: usize = LANE_WINDOW as usize;

/// A world whose one upstream is so far away.
struct Far {
    world: World,
    now: Duration,
    rtt: Duration,
    /// The client reads what comes.
    reads: bool,
}

impl Far {
    /// Whose client takes `window` bytes on a stream.
    fn new(first: u32, rtt: Duration) -> Self {
        let mut world = World::new(1, &window(first), &Settings::default());
        // It reads at once, and gives its own connection's window back at once.
        world.client.grant(0, 1 << 30);
        world.may_promise(0, usize::MAX);
        world.switch.is_so_far(0, rtt);
        Self { world, now: Duration::ZERO, rtt, reads: true }
    }

    fn call(&mut self) -> u32 {
        let call = self.world.call(0, true);
        self.world.pump();
        self.world.answer(call, 0, &OK, false);
        self.world.pump();
        call
    }

    fn ends(&mut self, call: u32) {
        self.world.answer(call, 0, &super::world::FINE, true);
        self.world.pump();
    }

    /// What the upstream may send on a call arrives, a round trip after it heard that it may. Returns how much that was.
    fn round(&mut self, call: u32) -> usize {
        self.now += self.rtt;
        self.world.switch.passed(self.now);
        let stream = self.world.stream_on(call, 0);
        let sent = self.world.lane(0).data(stream, 32 << 20, false);
        // As it does on a real link, it comes in pieces, and the client takes each.
        self.world.chunk = 16 << 10;
        let mut moved = true;
        while moved {
            moved = self.world.lane_speaks(0) | self.world.client_hears();
            if self.reads {
                self.world.client.read(call);
            }
            moved |= self.world.client_speaks() | self.world.lane_hears(0);
        }
        sent
    }

    fn rounds<const N: usize>(&mut self, call: u32) -> [usize; N] {
        std::array::from_fn(|_| self.round(call))
    }

    fn held(&self) -> usize {
        self.world.switch.held()
    }

    fn promised(&self) -> usize {
        self.world.switch.lane(0).expect("a lane").link.guard.promised
    }
}

#[test]
fn what_comes_in_a_round_trip_doubles_until_it_is_enough() {
    // A client with a large window, and one with a small one that it gives back at once.
    for first in [32 << 20, 65_535] {
        let mut far = Far::new(first, RTT);
        let call = far.call();
        let sent: [usize; 14] = far.rounds(call);
        assert!((FIRST - 1..=FIRST).contains(&sent[0]), "{sent:?}");
        let enough = LANE_WINDOW_MAX as usize / 2;
        assert!(sent[11] >= enough, "{first}: {sent:?}");
        assert!(sent[13] <= LANE_WINDOW_MAX as usize, "{sent:?}");
        assert_eq!(far.held(), 0, "the client takes it all");
        assert!(far.promised() >= enough);
    }
}

#[test]
fn it_takes_three_round_trips_to_grow() {
    for first in [4 << 20, 65_535] {
        let mut far = Far::new(first, RTT);
        let call = far.call();
        let sent: [usize; 4] = far.rounds(call);
        assert!(sent[3] >= LANE_WINDOW_MAX as usize / 4, "{first}: {sent:?}");
    }
}

#[test]
fn the_next_call_is_as_far_ahead_as_the_one_before_was_large() {
    let mut far = Far::new(65_535, RTT);
    let call = far.call();
    let sent: usize = far.rounds::<10>(call).iter().sum();
    far.ends(call);
    let next = far.call();
    let first = far.round(next);
    assert!(first >= LANE_WINDOW_MAX as usize / 4, "{first} of {sent}");
    // One that runs beside it is not: what is promised to who sends nothing is missing elsewhere.
    let beside = far.call();
    assert!((FIRST - 1..=FIRST).contains(&far.round(beside)));
    far.ends(beside);
    // A small one in between: nothing is promised to the one that follows.
    far.ends(next);
    let small = far.call();
    far.ends(small);
    assert_eq!(far.world.switch.lane(0).map(|lane| lane.ahead), Some(0));
    let call = far.call();
    assert_eq!(far.world.switch.lane(0).map(|lane| lane.ahead), Some(0));
    assert_eq!(far.round(call), FIRST);
}

#[test]
fn a_near_upstream_is_not_ahead_of_a_slow_client() {
    let mut far = Far::new(65_535, Duration::from_micros(50));
    let call = far.call();
    // It takes 20 ms to read, each time.
    far.rtt = Duration::from_millis(20);
    let sent: [usize; 10] = far.rounds(call);
    assert!(sent.iter().all(|sent| *sent <= FIRST), "{sent:?}");
    assert_eq!(far.world.switch.lane(0).map(|lane| lane.ahead), Some(0));
    assert!(far.promised() <= 2 * FIRST);
}

#[test]
fn what_a_client_leaves_stops_no_other_stream() {
    let mut far = Far::new(65_535, RTT);
    let calls = [far.call(), far.call()];
    let _: [usize; 8] = far.rounds(calls[0]);
    // The client reads no more of the first.
    far.reads = false;
    let taken: usize = far.rounds::<4>(calls[0]).iter().sum();
    assert_eq!(far.round(calls[0]), 0, "it has sent what it might");
    let held = far.held();
    assert!(held > 4 * FIRST && held <= taken, "{held} of {taken}");
    assert!(held <= far.promised() + FIRST);
    // But all of the second.
    far.reads = true;
    let sent: [usize; 20] = far.rounds(calls[1]);
    assert!(sent.iter().all(|sent| *sent >= FIRST / 2), "{sent:?}");
    assert_eq!(far.held(), held, "nothing of it waits");
    // The first goes on where it was.
    far.world.client.read(calls[0]);
    assert_eq!(far.round(calls[0]), 0, "of what it left");
    assert_eq!(far.held(), 0);
    assert!(far.round(calls[0]) > 0);
}

#[test]
fn after_a_pause_the_upstream_is_no_farther_ahead_than_its_lane() {
    let mut far = Far::new(65_535, RTT);
    let call = far.call();
    let _: [usize; 10] = far.rounds(call);
    for _ in 0..3 {
        far.reads = false;
        let _: [usize; 20] = far.rounds(call);
        far.reads = true;
        for _ in 0..10 {
            far.world.client.read(call);
            far.round(call);
            let ahead = far.world.switch.lane(0).map_or(0, |lane| lane.ahead);
            assert!(ahead <= LANE_WINDOW_MAX, "{ahead}");
        }
    }
}

#[test]
fn windows_become_smaller_again() {
    let mut far = Far::new(65_535, RTT);
    let call = far.call();
    let before: [usize; 10] = far.rounds(call);
    // A thinner link, or a nearer agent: what it carries takes much longer than the way.
    far.world.switch.is_so_far(0, Duration::from_millis(3));
    far.rtt = Duration::from_millis(200);
    let after: [usize; 20] = far.rounds(call);
    assert!(after[19] <= 2 * FIRST, "{before:?} {after:?}");
    let lane = far.world.switch.lane(0).expect("a lane");
    assert!(lane.ahead <= LANE_WINDOW, "{}", lane.ahead);
}

#[test]
fn no_more_is_promised_than_may_be_and_all_of_it_is_taken_back() {
    for most in [0, 1 << 20] {
        let mut far = Far::new(65_535, RTT);
        far.world.may_promise(0, most);
        let call = far.call();
        let sent: [usize; 10] = far.rounds(call);
        assert!(far.promised() <= most && sent[9] <= FIRST + most, "{most}: {sent:?}");
        assert!(sent[9] >= (FIRST / 2 - 1).max(most / 8), "{most}: {sent:?}");
        far.ends(call);
        far.world.assert_empty();
        let lane = far.world.switch.lane(0).expect("a lane");
        assert_eq!(lane.ahead, 0);
        assert!(lane.link.recv_window + LANE_WINDOW <= 2 * LANE_WINDOW + most as i64);
    }
}
