//! Each rule of the protocol, by what goes in and what comes out.

mod credit;

use std::io::IoSlice;

use super::*;
use crate::lanes::frame::{BadLength, Source};
use crate::lanes::memory::LaneMemory;
use crate::limits::{
    LANE_ABANDONED_SWEEPS, LANE_CREDIT_GROWN, LANE_CREDIT_MAX, LANE_DATA_MAX, LANE_FIRST_CREDIT,
    LANE_IDLE_SWEEPS, LANE_QUEUE,
};

const AGENT: Role = Role::Agent { max_lanes: 2 };
const FIRST: usize = LANE_FIRST_CREDIT as usize;

fn hub_with(lanes: u32) -> Mux {
    let mut hub = Mux::new(Role::Hub, LaneMemory::ample());
    for lane in 0..lanes {
        hub.open(Open { source: Source(lane.into()), ..Open::default() }).expect("a lane");
    }
    hub
}

/// An agent with this lane, and nothing to send.
fn agent_with(id: u32) -> Mux {
    let mut agent = Mux::new(AGENT, LaneMemory::ample());
    assert_eq!(
        agent.receive(frame::open(id, Open::default())),
        Ok((id, Event::Opened(Open::default())))
    );
    agent
}

fn data(id: u32, bytes: usize) -> Bytes {
    let mut message = frame::data(id, bytes);
    message.resize(frame::HEAD_BYTES + bytes, 7);
    message.freeze()
}

/// Sends as much DATA as that.
fn fill(mux: &mut Mux, id: u32, bytes: usize) {
    let mut left = bytes;
    while left > 0 {
        let len = left.min(LANE_DATA_MAX);
        assert_eq!(mux.receive(data(id, len)), Ok((id, Event::Readable)));
        left -= len;
    }
}

/// Sends as much DATA as the lane, which is over, had credit for.
fn fill_late(mux: &mut Mux, id: u32) {
    for _ in 0..FIRST / LANE_DATA_MAX {
        assert_eq!(mux.receive(data(id, LANE_DATA_MAX)), Ok((id, Event::Late)));
    }
}

fn write(mux: &mut Mux, id: u32, bytes: usize) -> usize {
    mux.write(id, &[IoSlice::new(&vec![7; bytes])])
}

fn read(mux: &mut Mux, id: u32, bytes: usize) -> usize {
    let mut space = vec![0; bytes];
    let mut buf = ReadBuf::new(&mut space);
    mux.read(id, &mut buf);
    buf.filled().len()
}

/// All that it has to send.
fn said(mux: &mut Mux) -> Vec<(u32, Frame)> {
    let messages = std::iter::from_fn(|| mux.next_message());
    messages.map(|(message, _)| Frame::read(message.into()).expect("ours")).collect()
}

fn reset(id: u32, code: ResetCode, delivered: u64, reason: &str) -> (u32, Frame) {
    (id, Frame::Reset { code, delivered, reason: reason.into() })
}

// --- what the peer must not say ---

#[test]
fn each_violation_is_told() {
    let finished = || {
        let mut agent = agent_with(1);
        agent.receive(frame::fin(1, None)).expect("allowed");
        agent
    };
    let full = || {
        let mut agent = agent_with(1);
        fill(&mut agent, 1, FIRST);
        agent
    };
    let long = [&data(1, LANE_DATA_MAX)[..], b"x"].concat().into();
    for (mut mux, message, violation) in [
        (agent_with(1), Bytes::from_static(b"\0\0\0\0"), Violation::Length(BadLength)),
        (agent_with(1), long, Violation::Length(BadLength)),
        (hub_with(1), frame::fin(1, None), Violation::Length(BadLength)),
        (hub_with(1), data(2, 1), Violation::UnknownLane),
        (hub_with(1), data(0, 1), Violation::UnknownLane),
        (agent_with(3), frame::credit(4, 1), Violation::UnknownLane),
        (
            Mux::new(AGENT, LaneMemory::ample()),
            frame::reset(1, ResetCode::Closed, 0, ""),
            Violation::UnknownLane,
        ),
        (hub_with(1), frame::open(2, Open::default()), Violation::Open),
        (agent_with(3), frame::open(3, Open::default()), Violation::Open),
        (agent_with(3), frame::open(2, Open::default()), Violation::Open),
        (Mux::new(AGENT, LaneMemory::ample()), frame::open(0, Open::default()), Violation::Open),
        (
            Mux::new(AGENT, LaneMemory::ample()),
            frame::open(LANE_IDS_MAX + 1, Open::default()),
            Violation::Open,
        ),
        (full(), data(1, 1), Violation::Credit),
        (full(), frame::give_back(1, 1), Violation::Credit),
        (agent_with(1), frame::give_back(1, LANE_FIRST_CREDIT + 1), Violation::Credit),
        (
            agent_with(1),
            frame::credit(1, LANE_CREDIT_MAX - LANE_FIRST_CREDIT + 1),
            Violation::Credit,
        ),
        (agent_with(1), frame::credit(1, u32::MAX), Violation::Credit),
        (finished(), data(1, 1), Violation::AfterFin),
        (finished(), data(1, 0), Violation::AfterFin),
        (finished(), frame::fin(1, None), Violation::AfterFin),
    ] {
        assert_eq!(mux.receive(message), Err(violation));
    }
}

#[test]
fn a_hub_that_opens_lanes_and_reads_no_answers_is_in_breach() {
    let mut agent = agent_with(1);
    let mut opened = 1..;
    let violation = loop {
        let id = opened.next().expect("endless") + 1;
        // Every other is accepted, and fails.
        match agent.receive(frame::open(id, Open::default())) {
            Ok((_, Event::Opened(_))) if id % 2 == 0 => agent.reset(id, ResetCode::Unreachable, ""),
            Ok(_) => {}
            Err(violation) => break violation,
        }
    };
    assert_eq!(violation, Violation::Unread);
    assert!(agent.resets.len() <= 2 + LANE_RESETS_WAITING);
}

/// As many as the operator allows may fail at once, be they more than answers may wait.
#[test]
fn lanes_that_are_reset_at_once_are_no_breach() {
    let lanes = 2 * LANE_RESETS_WAITING as u32;
    let mut agent = Mux::new(Role::Agent { max_lanes: lanes as usize }, LaneMemory::ample());
    (1..=lanes)
        .for_each(|id| drop(agent.receive(frame::open(id, Open::default())).expect("allowed")));
    (1..=lanes).for_each(|id| agent.reset(id, ResetCode::Unreachable, "refused"));
    assert!(agent.receive(frame::open(lanes + 1, Open::default())).is_ok());
    assert_eq!(said(&mut agent).len(), lanes as usize);
    assert_eq!(agent.resets.capacity(), 0);
}

/// A hub that does not know it yet goes on opening lanes, while those that are there go on, or fail all at once.
#[test]
fn an_agent_that_takes_fewer_from_now_on_is_no_reason_to_end_the_session() {
    let lanes = 2 * LANE_RESETS_WAITING as u32;
    let mut agent = Mux::new(Role::Agent { max_lanes: 1 }, LaneMemory::ample());
    agent.accept_at_most(lanes as usize);
    for id in 1..=lanes {
        let opened = agent.receive(frame::open(id, Open::default()));
        assert!(matches!(opened, Ok((_, Event::Opened(_)))), "{opened:?}");
    }
    agent.accept_at_most(2);
    let refused = agent.receive(frame::open(lanes + 1, Open::default()));
    assert!(matches!(refused, Ok((_, Event::Refused))), "{refused:?}");
    (1..=lanes).for_each(|id| agent.reset(id, ResetCode::Unreachable, "refused"));
    agent.receive(frame::open(lanes + 2, Open::default())).expect("no breach");
}

#[test]
fn what_comes_late_or_is_unknown_is_ignored() {
    let mut agent = agent_with(3);
    agent.receive(frame::reset(3, ResetCode::Closed, 0, "")).expect("allowed");
    // There was credit for so much, and no more is explained.
    fill_late(&mut agent, 3);
    for id in [1, 2, 3] {
        assert_eq!(agent.receive(data(id, 9)), Ok((id, Event::Ignored)));
        for late in [
            data(id, 0),
            frame::credit(id, u32::MAX),
            frame::give_back(id, u32::MAX),
            frame::fin(id, None),
            frame::reset(id, ResetCode::Closed, 0, ""),
        ] {
            assert_eq!(agent.receive(late), Ok((id, Event::Ignored)));
        }
    }
    let unknown = Bytes::from_static(b"\xee\0\0\xff\xff");
    assert_eq!(agent.receive(unknown), Ok((0xffff, Event::Ignored)));
    assert!(agent.is_empty() && said(&mut agent).is_empty());
}

// --- opening and ending ---

#[test]
fn bytes_follow_an_open_at_once_and_nothing_goes_before_it() {
    let mut hub = hub_with(2);
    assert_eq!(write(&mut hub, 2, 3), 3);
    hub.finish(2);
    let open = |source| Frame::Open(Some(Open { source: Source(source), ..Open::default() }));
    let data = Frame::Data(Bytes::from_static(&[7; 3]));
    assert_eq!(said(&mut hub), [(1, open(0)), (2, open(1)), (2, data), (2, Frame::Fin(None))]);
}

#[test]
fn a_lane_that_was_never_opened_ends_in_silence() {
    let mut hub = hub_with(2);
    write(&mut hub, 1, 3);
    hub.reset(1, ResetCode::Closed, "");
    assert_eq!(
        said(&mut hub),
        [(2, Frame::Open(Some(Open { source: Source(1), ..Open::default() })))]
    );
    hub.reset(2, ResetCode::Closed, "bye");
    assert_eq!(said(&mut hub), [reset(2, ResetCode::Closed, 0, "bye")]);
    assert!(hub.is_empty());
}

#[test]
fn a_lane_is_over_when_both_ends_have_finished() {
    let (mut hub, mut agent) = (hub_with(1), Mux::new(AGENT, LaneMemory::ample()));
    let cross = |from: &mut Mux, to: &mut Mux| -> Vec<_> {
        let messages = std::iter::from_fn(|| from.next_message());
        messages.map(|(message, _)| to.receive(message.into()).expect("allowed").1).collect()
    };
    write(&mut hub, 1, 5);
    hub.finish(1);
    hub.finish(1);
    assert_eq!(write(&mut hub, 1, 5), 0);
    let opened = Event::Opened(Open { source: Source(0), ..Open::default() });
    let finished = |delivered| Event::Finished { delivered };
    assert_eq!(cross(&mut hub, &mut agent), [opened, Event::Readable, finished(0)]);
    assert!(!agent.is_read_to_end(1));
    assert_eq!(read(&mut agent, 1, 9), 5);
    assert!(agent.is_read_to_end(1));
    agent.delivered(1, 5);
    write(&mut agent, 1, 2);
    agent.finish(1);
    assert_eq!(agent.len(), 1, "the FIN is not sent");
    assert_eq!(cross(&mut agent, &mut hub), [Event::Readable, finished(5)]);
    assert_eq!((hub.len(), agent.len()), (0, 0));
    assert_eq!((hub.readable(1), hub.is_read_to_end(1)), (2, false));
    assert_eq!(read(&mut hub, 1, 9), 2);
    assert!(hub.is_read_to_end(1) && hub.unread.is_empty());
}

#[test]
fn a_reset_is_answered_by_nothing_and_the_hub_still_reads_what_came_before() {
    let mut hub = hub_with(1);
    said(&mut hub);
    fill(&mut hub, 1, 9);
    write(&mut hub, 1, 9);
    let event = Event::Reset { code: ResetCode::Unreachable, delivered: 4, reason: "gone".into() };
    assert_eq!(hub.receive(frame::reset(1, ResetCode::Unreachable, 4, "gone")), Ok((1, event)));
    assert_eq!((hub.len(), write(&mut hub, 1, 1), said(&mut hub)), (0, 0, vec![]));
    assert_eq!((read(&mut hub, 1, 99), hub.is_read_to_end(1)), (9, true));

    let mut agent = agent_with(1);
    fill(&mut agent, 1, 9);
    agent.receive(frame::reset(1, ResetCode::Closed, 0, "")).expect("allowed");
    assert_eq!((read(&mut agent, 1, 99), agent.is_read_to_end(1)), (0, true), "its caller is gone");
}

#[test]
fn lanes_that_cannot_be_served_are_reset() {
    let mut agent = agent_with(1);
    agent.receive(frame::open(2, Open::default())).expect("room");
    assert_eq!(agent.receive(frame::open(3, Open::default())), Ok((3, Event::Refused)));
    let critical = Bytes::from_static(b"\x01\0\0\0\x04\x82\0\x00");
    assert_eq!(agent.receive(critical), Ok((4, Event::Refused)));
    fill_late(&mut agent, 3);
    agent.delivered(2, 8);
    agent.abandon(2);
    assert_eq!(
        agent.receive(frame::open(5, Open::default())),
        Ok((5, Event::Opened(Open::default())))
    );
    let expected = [
        reset(3, ResetCode::TooMany, 0, "too many lanes"),
        reset(4, ResetCode::Protocol, 0, "unknown kind of lane"),
        reset(2, ResetCode::Closed, 8, ""),
    ];
    assert_eq!(said(&mut agent), expected);
}

#[test]
fn a_lane_left_behind_ends_with_the_peers_fin_or_is_reset() {
    let mut agent = agent_with(1);
    fill(&mut agent, 1, 9);
    agent.receive(frame::fin(1, None)).expect("allowed");
    agent.finish(1);
    agent.abandon(1);
    assert_eq!(said(&mut agent), [(1, Frame::Fin(Some(0)))]);
    assert!(agent.is_empty() && agent.unread.is_empty());

    let mut agent = agent_with(1);
    fill(&mut agent, 1, 9);
    agent.finish(1);
    agent.abandon(1);
    said(&mut agent);
    assert_eq!(agent.receive(data(1, 9)), Ok((1, Event::Late)));
    assert_eq!(agent.readable(1), 0);
    for _ in 0..LANE_ABANDONED_SWEEPS {
        agent.sweep();
        assert!(agent.wants_sweep() && said(&mut agent).is_empty());
    }
    agent.sweep();
    assert_eq!(said(&mut agent), [reset(1, ResetCode::Closed, 0, "")]);
    assert!(agent.is_empty() && !agent.wants_sweep());

    // While its bytes wait for their turn, it is not the peer who does not end it.
    let mut agent = agent_with(1);
    write(&mut agent, 1, 9);
    agent.finish(1);
    agent.abandon(1);
    (0..100).for_each(|_| agent.sweep());
    assert_eq!(said(&mut agent)[1], (1, Frame::Fin(Some(0))));
    agent.sweep();
    assert!(said(&mut agent).is_empty());

    // Over before its user has read all: who leaves it then leaves nothing.
    let mut agent = agent_with(1);
    fill(&mut agent, 1, 9);
    agent.finish(1);
    said(&mut agent);
    agent.receive(frame::fin(1, None)).expect("allowed");
    agent.abandon(1);
    agent.sweep();
    agent.sweep();
    assert!(agent.unread.is_empty() && said(&mut agent).is_empty());
}
