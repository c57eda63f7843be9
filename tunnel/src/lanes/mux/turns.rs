//! Whose DATA goes next: turns of sources, and of the lanes of each.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use super::lane_state::LaneState;
use crate::lanes::by_id::{ById, IdHasher, shrink};
use crate::lanes::fair_queue::{FairQueue, HasTurn, Turn};
use crate::lanes::frame::Source;
use crate::pieces::Pieces;

/// The sources that have lanes.
#[derive(Debug, Default)]
pub(super) struct Turns {
    queue: FairQueue<Source>,
    sources: HashMap<Source, SourceState, BuildHasherDefault<IdHasher>>,
}

#[derive(Debug, Default)]
struct SourceState {
    turn: Turn,
    queue: FairQueue<u32>,
    /// Lanes that it has, busy or not.
    lanes: usize,
}

impl HasTurn for SourceState {
    fn turn(&mut self) -> &mut Turn {
        &mut self.turn
    }
}

impl Turns {
    /// The source has a lane more.
    pub(super) fn enter(&mut self, source: Source) {
        self.sources.entry(source).or_default().lanes += 1;
    }

    /// The lane has DATA to send.
    pub(super) fn join(&mut self, id: u32, lane: &mut LaneState) {
        if !lane.turn.is_busy()
            && let Some(state) = self.sources.get_mut(&lane.source)
        {
            state.queue.join(id, &mut lane.turn);
            self.queue.join(lane.source, &mut state.turn);
        }
    }

    /// The lane is gone.
    pub(super) fn exit(&mut self, id: u32, lane: &LaneState) {
        let Some(state) = self.sources.get_mut(&lane.source) else {
            return;
        };
        state.queue.remove(id, &lane.turn);
        state.lanes -= 1;
        if state.lanes == 0 {
            self.queue.remove(lane.source, &state.turn);
            self.sources.remove(&lane.source);
            shrink(&mut self.sources);
        }
    }

    /// The next message with DATA, and its lane.
    pub(super) fn next<'l>(
        &mut self,
        lanes: &'l mut ById<LaneState>,
    ) -> Option<(Pieces, u32, &'l mut LaneState)> {
        loop {
            let source = self.queue.next(&mut self.sources)?;
            let state = self.sources.get_mut(&source)?;
            let Some(id) = state.queue.next(lanes) else {
                self.queue.leave(source, &mut state.turn);
                continue;
            };
            let lane = lanes.get_mut(&id)?;
            let message = lane.pop()?;
            state.turn.sent(message.len());
            lane.turn.sent(message.len());
            if !lane.has_data() {
                state.queue.leave(id, &mut lane.turn);
            }
            return Some((message, id, lane));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;

    use crate::lanes::{LaneMemory, Mux, Open, Role, Source, frame};
    use crate::limits::LANE_DATA_MAX;

    const MESSAGE: [u8; LANE_DATA_MAX] = [0; LANE_DATA_MAX];

    fn open(hub: &mut Mux, source: u64) -> u32 {
        hub.open(Open { source: Source(source), ..Open::default() }).expect("a lane")
    }

    fn write(hub: &mut Mux, id: u32) {
        hub.write(id, &[IoSlice::new(&MESSAGE)]);
    }

    /// Whose messages go while all of these lanes always have more.
    fn served(hub: &mut Mux, busy: &[u32], messages: usize) -> Vec<u32> {
        let mut served = Vec::new();
        while served.len() < messages {
            for &id in busy {
                hub.receive(frame::credit(id, 2 * LANE_DATA_MAX as u32)).expect("room");
                write(hub, id);
            }
            let (message, _) = hub.next_message().expect("somebody waits");
            let message = Bytes::from(message);
            if message[0] == 0 {
                served.push(u32::from_be_bytes([message[1], message[2], message[3], message[4]]));
            }
        }
        served
    }

    #[test]
    fn sources_share_alike_whatever_lanes_they_have() {
        let mut hub = Mux::new(Role::Hub, LaneMemory::ample());
        let alone = open(&mut hub, 1);
        let many: Vec<_> = (0..100).map(|_| open(&mut hub, 2)).collect();
        let busy = [&[alone][..], &many].concat();
        let served = served(&mut hub, &busy, 400);
        let of = |wanted| served.iter().filter(|id| **id == wanted).count();
        assert!(of(alone).abs_diff(200) <= 2, "{}", of(alone));
        assert!(
            many.iter().all(|id| of(*id).abs_diff(2) <= 1),
            "the others have turns of their own"
        );
    }

    #[test]
    fn a_source_and_a_lane_that_have_just_become_busy_go_first() {
        let mut hub = Mux::new(Role::Hub, LaneMemory::ample());
        let bulk: Vec<_> = (0..50).map(|i| open(&mut hub, i / 2)).collect();
        let (unary, beside_bulk) = (open(&mut hub, 99), open(&mut hub, 0));
        served(&mut hub, &bulk, 120);
        write(&mut hub, unary);
        write(&mut hub, beside_bulk);
        let served = served(&mut hub, &bulk, 26);
        assert!(served[..2].contains(&unary), "before the sources that wait: {served:?}");
        let of_its_source = |id: &&u32| [bulk[0], bulk[1], beside_bulk].contains(*id);
        // A message under way may end its lane's turn first.
        assert!(
            served.iter().filter(of_its_source).take(2).any(|id| *id == beside_bulk),
            "{served:?}"
        );
    }

    #[test]
    fn whoever_is_gone_is_forgotten() {
        let mut hub = Mux::new(Role::Hub, LaneMemory::ample());
        for source in 0..1000 {
            let id = open(&mut hub, source % 300);
            write(&mut hub, id);
            hub.abandon(id);
        }
        assert!(hub.next_message().is_none() && hub.turns.sources.is_empty());
        assert!(hub.turns.sources.capacity() <= 128 && hub.lanes.capacity() <= 128);
    }
}
