//! Steps of a script.

use switch::LaneId;

use crate::says;
use crate::world::World;

/// Bytes that are written at a time.
const WRITES: [usize; 6] = [usize::MAX, usize::MAX, 1, 50, 5000, 40_000];

impl World<'_> {
    /// Does what the script says next; `false` at its end.
    pub fn step(&mut self) -> bool {
        if self.draw.is_empty() {
            return false;
        }
        match self.draw.below(32) {
            0..=10 => {
                let said = says::next(&mut self.client, &mut self.draw);
                self.client_says(said);
            }
            11..=21 => self.upstream_says(),
            22..=23 => {
                let most = self.draw.one(&WRITES);
                self.client_hears(most);
            }
            24..=26 => {
                let most = self.draw.one(&WRITES);
                if let Some(lane) = self.some_lane() {
                    self.lane_hears(lane, most);
                }
            }
            27 => self.act(),
            28 => self.all_hear(),
            29 => self.owner_looks_after_lanes(),
            _ => self.owner_looks_after_client(),
        }
        self.on_events();
        true
    }

    fn some_lane(&mut self) -> Option<LaneId> {
        let nth = usize::from(self.draw.byte());
        let lanes: Vec<LaneId> = self.lanes.keys().copied().collect();
        lanes.get(nth % lanes.len().max(1)).copied()
    }

    fn upstream_says(&mut self) {
        let Some(lane) = self.some_lane() else { return self.open_lane(true) };
        let peer = self.lanes.get_mut(&lane).expect("a lane");
        let said = says::next(peer, &mut self.draw);
        self.lane_says(lane, said);
    }

    /// Everybody hears what there is.
    fn all_hear(&mut self) {
        for lane in self.lanes.keys().copied().collect::<Vec<_>>() {
            self.lane_hears(lane, usize::MAX);
        }
        self.client_hears(usize::MAX);
    }

    fn owner_looks_after_lanes(&mut self) {
        let what = self.draw.below(10);
        let Some(lane) = self.some_lane() else { return self.open_lane(what < 5) };
        match what {
            0 | 1 => self.open_lane(true),
            2 => self.open_lane(false),
            3 | 4 => self.end_lane(lane),
            5 => self.switch.close_lane(lane),
            6 => self.switch.retire_lane(lane),
            7 => self.detach(lane),
            _ => self.attach(),
        }
    }

    fn owner_looks_after_client(&mut self) {
        match self.draw.byte() {
            0..20 => self.switch.drain(),
            20..24 => self.switch.take_no_more(http2::error::Reason::NO_ERROR, b""),
            24 => self.switch.client_gone(),
            _ => while self.switch.next_dirty().is_some() {},
        }
    }
}
