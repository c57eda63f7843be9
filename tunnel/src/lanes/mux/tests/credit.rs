//! Who may send how much.

use bytes::Buf;

use super::*;
use crate::limits::{LANE_GROWS_BELOW, LANE_GROWS_FAR_BY, LANE_RTT_LEAST, LANE_SHRINKS_ABOVE};
use crate::pieces::Part;

#[test]
fn credit_is_given_when_much_is_used() {
    let mut agent = agent_with(1);
    fill(&mut agent, 1, FIRST - 1);
    read(&mut agent, 1, FIRST / 2 - 1);
    assert!(said(&mut agent).is_empty());
    read(&mut agent, 1, 1);
    // Four times the window from now on.
    assert_eq!(said(&mut agent), [(1, Frame::Credit(LANE_FIRST_CREDIT * 7 / 2))]);
    read(&mut agent, 1, FIRST);
    // Of what was granted, half a first window is used then.
    assert_eq!(said(&mut agent).len(), 0);
    fill(&mut agent, 1, 1);
    read(&mut agent, 1, 1);
    assert_eq!(said(&mut agent), [(1, Frame::Credit(LANE_FIRST_CREDIT / 2))]);
}

/// Uses half of the lane's window, which takes so long. Returns what the window is then.
fn use_half(agent: &mut Mux, window: &mut u32, took: Duration, link: &mut Link) {
    let granted = agent.account(1).expect("a lane").granted;
    fill(agent, 1, (granted - *window / 2) as usize);
    link.now += took;
    agent.passed(link.now, Some(link.rtt));
    let all = agent.readable(1);
    assert_eq!(read(agent, 1, all), all);
    for (_, frame) in said(agent) {
        assert!(matches!(frame, Frame::Credit(_)));
    }
    *window = agent.account(1).expect("a lane").granted;
}

#[test]
fn the_window_follows_the_link() {
    let mut agent = agent_with(1);
    let mut link = Link { now: Duration::ZERO, rtt: Duration::from_millis(100) };
    let (mut window, fast) =
        (LANE_FIRST_CREDIT, link.rtt * LANE_GROWS_BELOW - Duration::from_millis(1));
    let mut grown = LANE_FIRST_CREDIT;
    while window < LANE_CREDIT_GROWN {
        use_half(&mut agent, &mut window, fast, &mut link);
        grown = (grown * LANE_GROWS_FAR_BY).min(LANE_CREDIT_GROWN);
        assert_eq!(window, grown);
    }
    use_half(&mut agent, &mut window, fast, &mut link);
    assert_eq!(window, LANE_CREDIT_GROWN, "no further");
    for took in [LANE_GROWS_BELOW, LANE_SHRINKS_ABOVE] {
        use_half(&mut agent, &mut window, link.rtt * took, &mut link);
        assert_eq!(window, LANE_CREDIT_GROWN, "just right");
    }
    assert_eq!(agent.memory.promised(), (LANE_CREDIT_GROWN - LANE_FIRST_CREDIT) as usize);
    // The peer has come nearer. What it was granted it has, until it uses it.
    link.rtt = Duration::from_millis(10);
    let slow = link.rtt * LANE_SHRINKS_ABOVE + Duration::from_millis(1);
    use_half(&mut agent, &mut window, slow, &mut link);
    assert_eq!(window, LANE_CREDIT_GROWN / 2);
    for _ in 0..20 {
        let granted = agent.account(1).expect("a lane").granted;
        fill(&mut agent, 1, (granted - LANE_FIRST_CREDIT / 2) as usize);
        link.now += Duration::from_secs(100);
        agent.passed(link.now, Some(link.rtt));
        let all = agent.readable(1);
        read(&mut agent, 1, all);
        said(&mut agent);
    }
    assert_eq!(agent.account(1).expect("a lane").granted, LANE_FIRST_CREDIT);
    assert_eq!(agent.memory.promised(), 0);
}

#[test]
fn a_pause_does_not_make_a_link_slow() {
    let mut agent = agent_with(1);
    let mut link = Link { now: Duration::from_secs(1000), rtt: Duration::from_millis(100) };
    agent.passed(link.now, Some(link.rtt));
    let mut window = LANE_FIRST_CREDIT;
    use_half(&mut agent, &mut window, Duration::from_millis(1), &mut link);
    assert_eq!(
        window,
        LANE_FIRST_CREDIT * LANE_GROWS_FAR_BY,
        "the first that comes, after so long"
    );
    agent.receive(frame::give_back(1, window - LANE_FIRST_CREDIT)).expect("allowed");
    link.now += Duration::from_secs(1000);
    agent.passed(link.now, Some(link.rtt));
    window = LANE_FIRST_CREDIT;
    use_half(&mut agent, &mut window, Duration::from_millis(1), &mut link);
    assert_eq!(window, LANE_FIRST_CREDIT * LANE_GROWS_FAR_BY, "and after it was given back");
}

#[test]
fn a_round_trip_counts_as_no_shorter_than_threads_wait() {
    for (took, grows) in [(LANE_RTT_LEAST * LANE_GROWS_BELOW, false), (LANE_RTT_LEAST, true)] {
        let mut agent = agent_with(1);
        let mut link = Link { now: Duration::ZERO, rtt: Duration::from_micros(50) };
        let mut window = LANE_FIRST_CREDIT;
        use_half(&mut agent, &mut window, took, &mut link);
        assert_eq!(window > LANE_FIRST_CREDIT, grows);
    }
}

#[test]
fn no_lane_grows_beyond_the_memory_for_all() {
    let memory = LaneMemory::new(16 * FIRST);
    let mut agent = Mux::new(AGENT, memory.clone());
    agent.receive(frame::open(1, Open::default())).expect("allowed");
    let mut window = LANE_FIRST_CREDIT;
    let mut link = Link { now: Duration::ZERO, rtt: LANE_RTT_LEAST };
    for _ in 0..5 {
        use_half(&mut agent, &mut window, Duration::ZERO, &mut link);
    }
    assert_eq!(window, 8 * LANE_FIRST_CREDIT, "twice as much would be more than half");
    assert_eq!(memory.promised(), 7 * FIRST);
    agent.reset(1, ResetCode::Closed, "");
    assert_eq!(memory.promised(), 0);
}

#[test]
fn a_sender_at_zero_gets_credit_for_a_message_but_not_for_a_byte() {
    let mut agent = agent_with(1);
    fill(&mut agent, 1, FIRST);
    read(&mut agent, 1, LANE_DATA_MAX - 1);
    assert!(said(&mut agent).is_empty());
    read(&mut agent, 1, 1);
    assert_eq!(said(&mut agent), [(1, Frame::Credit(LANE_DATA_MAX as u32))]);
}

#[test]
fn nobody_who_has_finished_gets_credit() {
    let mut agent = agent_with(1);
    fill(&mut agent, 1, FIRST);
    read(&mut agent, 1, FIRST / 2);
    agent.receive(frame::fin(1, None)).expect("allowed");
    read(&mut agent, 1, FIRST);
    assert!(said(&mut agent).is_empty());
}

#[test]
fn a_writer_gets_as_far_as_the_queue_and_the_credit() {
    let mut hub = hub_with(1);
    assert_eq!(write(&mut hub, 1, 2 * LANE_QUEUE), LANE_QUEUE);
    assert_eq!(write(&mut hub, 1, 1), 0);
    hub.next_message().expect("OPEN");
    let (message, has_room) = hub.next_message().expect("DATA");
    assert_eq!((message.len(), has_room), (frame::HEAD_BYTES + LANE_DATA_MAX, Some(1)));
    let mut written = LANE_QUEUE;
    loop {
        match write(&mut hub, 1, FIRST) {
            0 => break,
            more => written += more,
        }
        said(&mut hub);
    }
    assert_eq!(written, FIRST);
    assert_eq!(hub.receive(frame::credit(1, 3)), Ok((1, Event::Writable)));
    assert_eq!(write(&mut hub, 1, FIRST), 3);
    let (_, has_room) = hub.next_message().expect("the rest");
    assert_eq!(has_room, None, "nobody is woken in vain");
}

#[test]
fn small_writes_share_a_message() {
    let mut hub = hub_with(1);
    said(&mut hub);
    let written = hub.write(1, &[IoSlice::new(b"head"), IoSlice::new(b""), IoSlice::new(b"body")]);
    assert_eq!(written + write(&mut hub, 1, LANE_DATA_MAX), 8 + LANE_DATA_MAX);
    let sizes: Vec<_> =
        std::iter::from_fn(|| hub.next_message()).map(|(m, _)| m.len() - 5).collect();
    assert_eq!(sizes, [LANE_DATA_MAX, 8]);
}

#[test]
fn idle_credit_is_given_back_and_granted_again() {
    let mut hub = hub_with(1);
    said(&mut hub);
    hub.receive(frame::credit(1, 1000)).expect("allowed");
    for _ in 0..LANE_IDLE_SWEEPS {
        hub.sweep();
        assert!(hub.wants_sweep() && said(&mut hub).is_empty());
    }
    hub.sweep();
    assert!(!hub.wants_sweep());
    // While the answer waits, there may be more.
    hub.receive(frame::credit(1, LANE_CREDIT_MAX - LANE_FIRST_CREDIT)).expect("allowed");
    (0..4).for_each(|_| hub.sweep());
    assert_eq!(said(&mut hub), [(1, Frame::Return(1000))]);
    hub.finish(1);
    (0..4).for_each(|_| hub.sweep());
    assert_eq!(said(&mut hub), [(1, Frame::Fin(None))], "nothing after the end");

    let mut agent = agent_with(1);
    fill(&mut agent, 1, FIRST / 2);
    read(&mut agent, 1, FIRST);
    said(&mut agent);
    fill(&mut agent, 1, 2 * FIRST);
    read(&mut agent, 1, 2 * FIRST);
    assert_eq!(said(&mut agent).len(), 1);
    assert_eq!(agent.memory.promised(), 15 * FIRST);
    agent.receive(frame::give_back(1, 15 * LANE_FIRST_CREDIT)).expect("allowed");
    assert_eq!(agent.memory.promised(), 0);
    // What it was is what it may need again.
    fill(&mut agent, 1, FIRST / 2);
    read(&mut agent, 1, FIRST);
    assert_eq!(said(&mut agent), [(1, Frame::Credit(LANE_FIRST_CREDIT * 31 / 2))]);
}

/// Large pieces of what is written are sent as they are, in messages of the same length as others.
#[test]
fn large_pieces_are_not_copied() {
    let mut hub = hub_with(1);
    said(&mut hub);
    let large = Bytes::from(vec![7; LANE_QUEUE]);
    let mut bytes = Buf::chain(&b"head"[..], large.clone());
    assert_eq!(hub.write_from(1, &mut bytes), LANE_QUEUE, "all that there is room for");
    assert_eq!(bytes.remaining(), 4);
    let mut kept = Vec::new();
    for _ in 0..2 {
        let (message, _) = hub.next_message().expect("a message");
        assert_eq!(message.len(), frame::HEAD_BYTES + LANE_DATA_MAX);
        message.into_parts(|part| match part {
            Part::Large(bytes) => kept.push(bytes.as_ptr()),
            Part::Small(bytes) => assert!(bytes.len() < 10, "the heads"),
        });
    }
    assert_eq!(kept, [large.as_ptr(), large[LANE_DATA_MAX - 4..].as_ptr()]);
}

/// A message that is filled before it is queued is not copied, unless there is room for a part of it alone.
#[test]
fn a_whole_message_is_queued_as_it_is() {
    let mut hub = hub_with(1);
    said(&mut hub);
    let message = |bytes| {
        let mut message = frame::data(1, LANE_DATA_MAX);
        message.resize(frame::HEAD_BYTES + bytes, 7);
        message
    };
    let mut whole = message(LANE_DATA_MAX);
    let at = whole.as_ptr();
    assert_eq!(hub.write_message(1, &mut whole), LANE_DATA_MAX);
    assert!(whole.is_empty());
    assert_eq!(Bytes::from(hub.next_message().expect("a message").0).as_ptr(), at);
    let mut rest = FIRST - LANE_DATA_MAX - 10;
    while rest > 0 {
        let len = rest.min(LANE_DATA_MAX);
        assert_eq!(hub.write_message(1, &mut message(len)), len);
        said(&mut hub);
        rest -= len;
    }
    let mut longer = message(25);
    assert_eq!(hub.write_message(1, &mut longer), 10, "the rest of its credit");
    assert_eq!(longer.len(), frame::HEAD_BYTES + 15);
    assert_eq!(hub.write_message(1, &mut longer), 0);
    hub.receive(frame::credit(1, 100)).expect("allowed");
    assert_eq!(hub.write_message(1, &mut longer), 15);
    let sent: Vec<_> = said(&mut hub);
    let [(1, Frame::Data(first)), (1, Frame::Data(second))] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!([first.len(), second.len()], [10, 15]);
    assert_eq!(hub.write_message(2, &mut message(1)), 0, "there is no such lane");
}
