//! Who may send how much.

use super::*;

#[test]
fn credit_is_given_when_half_is_used() {
    let mut agent = agent_with(1);
    fill(&mut agent, 1, FIRST - 1);
    read(&mut agent, 1, FIRST / 2 - 1);
    assert!(said(&mut agent).is_empty());
    read(&mut agent, 1, 1);
    let more = LANE_CREDIT - LANE_FIRST_CREDIT / 2;
    assert_eq!(said(&mut agent), [(1, Frame::Credit(more))]);
    // The larger window from now on.
    read(&mut agent, 1, FIRST);
    fill(&mut agent, 1, LANE_CREDIT as usize / 2 - FIRST / 2 + 1);
    read(&mut agent, 1, LANE_CREDIT as usize);
    assert_eq!(said(&mut agent), [(1, Frame::Credit(LANE_CREDIT / 2))]);
}

#[test]
fn a_sender_at_zero_gets_credit_for_a_message_but_not_for_a_byte() {
    let mut agent = agent_with(1);
    fill(&mut agent, 1, FIRST);
    read(&mut agent, 1, LANE_DATA_MAX - 1);
    assert!(said(&mut agent).is_empty());
    read(&mut agent, 1, 1);
    let more = LANE_CREDIT - LANE_FIRST_CREDIT + LANE_DATA_MAX as u32;
    assert_eq!(said(&mut agent), [(1, Frame::Credit(more))]);
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
    agent.receive(frame::give_back(1, LANE_CREDIT - LANE_FIRST_CREDIT)).expect("allowed");
    fill(&mut agent, 1, FIRST / 2);
    read(&mut agent, 1, FIRST);
    assert_eq!(said(&mut agent), [(1, Frame::Credit(LANE_CREDIT - LANE_FIRST_CREDIT / 2))]);
}
