//! What holds after every step, and what holds once nothing moves.

use super::model::Model;
use super::world::World;
use crate::LaneId;
use crate::call::Call;
use crate::limits::*;
use crate::way::Way;
use crate::window::WINDOW_FIRST;

impl Model {
    /// Sums are right, and what waits is bounded.
    pub(super) fn check(&mut self) {
        self.note_what_was_given();
        let switch = &self.world.switch;
        let calls = || switch.calls.values();
        let held: usize = calls().map(|call| call.up.held.len()).sum();
        assert_eq!(switch.client_held, held);
        let kept: usize = calls().map(|call| call.kept_len()).sum();
        assert_eq!(switch.kept, kept);
        let answers: usize = calls().map(|call| call.down.held.len()).sum();
        let lists: usize = calls().map(|call| call.lists_size()).sum();
        assert_eq!((switch.answers_held, switch.lists_held), (answers, lists));
        assert_eq!(switch.held(), held + answers + kept + lists);
        let of_lanes: usize = switch.lanes.iter().flatten().map(|lane| lane.down_held).sum();
        assert_eq!(switch.orphaned, answers - of_lanes);
        // What was kept comes back on top of what the windows allow, and may be kept no more then.
        assert!(kept <= REPLAY_ALL && held + kept <= CLIENT_BYTES);
        assert!(switch.client.queued() <= switch.calls());
        assert!(switch.spare.len() <= SPARE_CALLS && switch.resets.len() <= RESETS_REMEMBERED);
        for id in self.world.lanes.keys() {
            self.check_lane(*id);
        }
        for (id, call) in &switch.calls {
            self.check_up(*id, call);
            self.check_down(*id, call);
        }
    }

    fn note_what_was_given(&mut self) {
        for upstream in self.world.lanes.values() {
            self.most_given = self.most_given.max(upstream.recv_first);
            for (id, stream) in &upstream.streams {
                let most = self.gave.entry(upstream.tag(*id)).or_default();
                *most = stream.gave_most.max(*most);
            }
        }
        for (id, call) in &self.world.switch.calls {
            let most = self.ahead.entry(*id).or_default();
            *most = call.down.ahead.max(*most);
        }
    }

    fn check_lane(&self, id: LaneId) {
        let lane = self.world.switch.lane(id).expect("a lane");
        let on_it = |call: &Call<u32>| call.on_lane().is_some_and(|(lane, _)| lane == id);
        let calls = || self.world.switch.calls.values().filter(|call| on_it(call));
        assert_eq!(lane.up_held, calls().map(|call| call.up.held.len()).sum::<usize>());
        assert_eq!(lane.down_held, calls().map(|call| call.down.held.len()).sum::<usize>());
        // What comes is bounded by what was promised.
        let may_come = lane.down_held as i64 + lane.link.recv_window;
        let promised = lane.link.guard.promised as i64;
        assert!(may_come <= LANE_WINDOW + promised, "{may_come} {promised}");
        assert_eq!(lane.ahead, calls().map(|call| call.down.ahead).sum::<i64>());
        assert!(calls().all(|call| call.down.ahead <= LANE_WINDOW_MAX));
        let open = calls().filter(|call| call.is_on_stream()).count();
        assert_eq!(lane.streams.len(), open);
        assert!(lane.link.queued() <= open && lane.starved.len() <= open);
        for (stream, call) in &lane.streams {
            let on_lane = self.world.switch.calls[call].on_lane();
            assert_eq!(on_lane, Some((id, *stream)));
        }
    }

    /// The client was never granted more than the upstream gave, or every stream has at first.
    fn check_up(&self, id: u32, call: &Call<u32>) {
        if call.up.sink_ended {
            return;
        }
        let stream = &self.world.client.streams[&id];
        let most = self.gave.get(&id).copied().unwrap_or_default();
        let most = most.max(self.most_given).max(WINDOW_FIRST);
        assert!(stream.granted - stream.padding <= most, "{} {stream:?}", brief(id, call));
    }

    /// The upstream was never granted more than the client gave and it may be ahead; but of a window that was larger it may not know yet.
    fn check_down(&self, id: u32, call: &Call<u32>) {
        let stream = &self.world.client.streams[&id];
        let Some(upstream) = self.upstream_of(call).filter(|_| !call.down.sink_ended) else {
            return;
        };
        let most = stream.gave_most + (self.most_first - stream.first).max(0) + self.ahead[&id];
        assert!(upstream.granted - upstream.padding <= most, "{} {upstream:?}", brief(id, call));
    }

    fn upstream_of(&self, call: &Call<u32>) -> Option<&super::end::Stream> {
        let (lane, stream) = call.on_lane().filter(|_| call.is_on_stream())?;
        self.world.lanes[&lane].streams.get(&stream)
    }

    /// Nothing moves: so nothing waits for which there are windows, and all accounts are as the ends have them.
    pub(super) fn check_quiet(&self) {
        let World { switch, client, lanes, .. } = &self.world;
        assert_eq!(switch.client.send_window, client.recv);
        assert_eq!(switch.client.recv_window, client.send);
        assert!(client.send > 0 || switch.client_held >= CLIENT_HELD);
        for (id, upstream) in lanes {
            let lane = switch.lane(*id).expect("a lane");
            assert_eq!(
                (lane.link.send_window, lane.link.recv_window),
                (upstream.recv, upstream.send)
            );
            assert!(upstream.send > 0 || lane.down_held >= LANE_WINDOW as usize);
            assert_eq!(lane.told, switch.settings);
        }
        for (id, call) in &switch.calls {
            self.check_quiet_call(*id, call);
        }
    }

    fn check_quiet_call(&self, id: u32, call: &Call<u32>) {
        let World { client, lanes, switch, .. } = &self.world;
        let stream = &client.streams[&id];
        let (up, down) = (&call.up, &call.down);
        let words = || format!("{} {stream:?}", brief(id, call));
        if !down.sink_ended {
            assert_eq!(down.allowed, stream.recv, "{}", words());
            assert!(!down.has_more() || !down.held.is_empty(), "{}", words());
            let waits = !down.held.is_empty();
            assert!(!waits || stream.recv <= 0 || client.recv == 0, "{}", words());
        }
        if !up.source_ended {
            assert_eq!(up.granted, stream.send, "{}", words());
        }
        let Some((lane_id, _)) = call.on_lane().filter(|_| call.is_on_stream()) else { return };
        let Some(upstream) = self.upstream_of(call) else { panic!("{}", words()) };
        if !up.sink_ended {
            assert_eq!(up.allowed, upstream.recv, "{}", words());
            assert!(!up.has_more() || !up.held.is_empty(), "{}", words());
            let waits = !up.held.is_empty();
            assert!(!waits || upstream.recv <= 0 || lanes[&lane_id].recv == 0, "{}", words());
            let lane = switch.lane(lane_id).expect("a lane");
            let is_stuck = !up.source_ended && !waits && stream.send <= 0 && upstream.recv > 0;
            assert!(!is_stuck || lane.is_clogged(), "{}", words());
        }
        if !down.source_ended {
            assert_eq!(down.granted, upstream.send, "{}", words());
            let is_stuck = down.held.is_empty() && upstream.send <= 0 && stream.recv > 0;
            assert!(!is_stuck, "{} {upstream:?}", words());
        }
    }

    /// What an end that was not broken off has sent, the other has.
    pub(super) fn check_whole(&self) {
        for (lane, upstream) in &self.world.lanes {
            for (id, stream) in upstream.streams.iter().filter(|(_, stream)| !stream.has_reset) {
                let call = upstream.tag(*id);
                let client = &self.world.client.streams[&call];
                if stream.ended && stream.reset.is_none() {
                    assert_eq!(stream.came, client.sent, "{call} on {lane}");
                }
                if client.ended && self.world.ended_by(call) == Some(crate::How::Complete) {
                    assert_eq!(client.came, stream.sent, "{call} on {lane}");
                }
            }
        }
    }
}

/// A call in few words, which its bytes are not.
pub(super) fn brief(id: u32, call: &Call<u32>) -> String {
    let way = |way: &Way| {
        let Way { granted, allowed, tail, source_ended, sink_ended, passed, is_queued, .. } = way;
        let held = way.held.len();
        format!(
            "granted {granted} allowed {allowed} held {held} {tail:?} passed {passed} \
             ended {source_ended} {sink_ended} queued {is_queued}"
        )
    };
    format!("{id} {:?} {:?}: up {}; down {}", call.at, call.how, way(&call.up), way(&call.down))
}
