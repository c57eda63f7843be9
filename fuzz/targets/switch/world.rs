//! A switch and its peers, and what travels between them.

use std::collections::BTreeMap;

use bytes::Bytes;
use fuzz::Draw;
use http2::frame::{PREFACE, kind};
use http2::output::Output;
use switch::{CallId, DetachedLane, LaneId, Limits, Switch, Unguarded};

use crate::owner::Known;
use crate::peer::Peer;

/// Calls at once.
const MAX_CALLS: u32 = 8;
const LANES_MAX: usize = 4;
/// Sizes of chunks in which peers are heard.
const CHUNKS: [usize; 6] = [usize::MAX, 1, 3, 10, 1000, 9000];

pub struct World<'i> {
    pub draw: Draw<'i>,
    pub switch: Switch<u32, Unguarded>,
    pub client: Peer,
    pub lanes: BTreeMap<LaneId, Peer>,
    pub calls: BTreeMap<CallId, Known>,
    /// Lanes that no switch has.
    away: Vec<(DetachedLane<Unguarded>, Peer)>,
    chunk: usize,
    /// The client has broken the protocol, and is not listened to any more.
    has_failed: bool,
}

impl<'i> World<'i> {
    /// A client that has greeted, and two lanes, of which the first has.
    pub fn new(mut draw: Draw<'i>) -> Self {
        let chunk = draw.one(&CHUNKS);
        let manners = draw.byte();
        let mut world = Self {
            draw,
            switch: Switch::new(Limits { max_calls: MAX_CALLS }, Unguarded),
            client: Peer::new(true),
            lanes: BTreeMap::new(),
            calls: BTreeMap::new(),
            away: Vec::new(),
            chunk,
            has_failed: false,
        };
        world.open_lane(manners & 1 == 0);
        world.open_lane(manners & 2 == 0);
        if manners & 4 == 0 {
            world.switch.client_came(Bytes::from_static(PREFACE));
            let settings = world.client.frame(kind::SETTINGS, 0, 0, &[]);
            world.client_says(settings);
        }
        world
    }

    // --- what travels ---

    /// The switch hears the client, in chunks.
    pub fn client_says(&mut self, mut said: Bytes) {
        while !said.is_empty() {
            self.switch.client_came(said.split_to(said.len().min(self.chunk)));
            self.on_events();
        }
    }

    /// The switch hears an upstream, in chunks.
    pub fn lane_says(&mut self, lane: LaneId, mut said: Bytes) {
        while !said.is_empty() {
            self.switch.lane_came(lane, said.split_to(said.len().min(self.chunk)));
            self.on_events();
        }
    }

    /// The client hears up to so many bytes.
    pub fn client_hears(&mut self, most: usize) -> usize {
        if most.is_multiple_of(2) || most == usize::MAX {
            self.switch.answer_pings();
        }
        let output = self.switch.client_output();
        let bytes = first(output, most);
        output.advance(bytes.len());
        let len = bytes.len();
        self.client.hear(bytes);
        self.on_events();
        len
    }

    /// An upstream hears up to so many bytes.
    pub fn lane_hears(&mut self, lane: LaneId, most: usize) -> usize {
        let bytes = self.switch.write_lane(lane, |output| {
            let bytes = first(output, most);
            output.advance(bytes.len());
            bytes
        });
        let len = bytes.as_ref().map_or(0, |bytes| bytes.len());
        if let Some(bytes) = bytes {
            self.lanes.get_mut(&lane).expect("a lane").hear(bytes);
        }
        self.on_events();
        len
    }

    /// The owner is told everything.
    pub fn on_events(&mut self) {
        while !self.has_failed {
            match self.switch.next_of_client() {
                Ok(Some(event)) => self.on_event(event),
                Ok(None) => break,
                Err(error) => {
                    self.has_failed = true;
                    self.switch.fail_client(error);
                }
            }
        }
        for lane in self.lanes.keys().copied().collect::<Vec<_>>() {
            while let Some(event) = self.switch.next_of_lane(lane) {
                self.on_event(event);
            }
        }
        while let Some(event) = self.switch.next_event() {
            self.on_event(event);
        }
    }

    // --- lanes ---

    /// Opens a lane, whose upstream greets at once or not yet.
    pub fn open_lane(&mut self, greets: bool) {
        if self.lanes.len() == LANES_MAX {
            return;
        }
        let max = u32::from(self.draw.byte());
        let lane = self.switch.open_lane(max, Unguarded);
        self.come(lane, Peer::new(false));
        if greets {
            let peer = self.lanes.get_mut(&lane).expect("a lane");
            let settings = peer.frame(kind::SETTINGS, 0, 0, &[]);
            self.lane_says(lane, settings);
        }
    }

    fn come(&mut self, lane: LaneId, peer: Peer) {
        assert!(self.lanes.insert(lane, peer).is_none(), "a lane's number twice");
    }

    /// A lane is over.
    pub fn end_lane(&mut self, lane: LaneId) {
        if self.lanes.remove(&lane).is_some() {
            let delivered = match self.draw.byte() {
                0..100 => None,
                100 => Some(u64::MAX),
                some => Some(u64::from(some - 101) * 20),
            };
            self.switch.lane_ended(lane, delivered);
        }
    }

    /// A lane without calls is given away.
    pub fn detach(&mut self, lane: LaneId) {
        if let Some(detached) = self.switch.detach_lane(lane) {
            let peer = self.lanes.remove(&lane).expect("a lane");
            self.away.push((detached, peer));
        }
    }

    /// Such a lane is taken.
    pub fn attach(&mut self) {
        if self.lanes.len() < LANES_MAX
            && let Some((lane, peer)) = self.away.pop()
        {
            let lane = self.switch.attach_lane(lane);
            self.come(lane, peer);
        }
    }

    // --- the end ---

    /// Everybody is gone, and nothing is left.
    pub fn finish(mut self) {
        let client_first = self.draw.byte() < 128;
        if client_first {
            self.switch.client_gone();
            self.on_events();
            self.check_ended();
        }
        for lane in self.lanes.keys().copied().collect::<Vec<_>>() {
            while self.lane_hears(lane, usize::MAX) > 0 {}
            if self.switch.calls() == 0 {
                self.lanes[&lane].check_nothing_held();
            }
            self.end_lane(lane);
            self.on_events();
        }
        while self.client_hears(usize::MAX) > 0 {}
        self.switch.client_gone();
        self.on_events();
        while self.client_hears(usize::MAX) > 0 {}
        self.check_ended();
        assert_eq!(self.switch.calls(), 0, "something is left of calls");
        self.client.has_failed |= self.has_failed;
        self.client.check_nothing_held();
    }
}

/// The first bytes of what is to be written.
fn first(output: &Output, most: usize) -> Bytes {
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let count = output.slices(&mut slices);
    let mut bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    bytes.truncate(most);
    bytes.into()
}
