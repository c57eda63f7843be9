//! Windows are end to end, lazy, and never stop what both ends want.

use http2::error::Reason;
use http2::settings::Settings;

use super::end::{Got, Returns};
use super::world::{FINE, OK, World, window};
use crate::limits::{CLIENT_HELD, LANE_HELD};

const MEGABYTE: usize = 1 << 20;

/// Everybody sends and reads until nothing moves.
fn upload(world: &mut World, call: u32, len: usize, reads: bool) -> usize {
    let mut sent = 0;
    loop {
        let more = world.client.data(call, len - sent, false);
        sent += more;
        world.pump();
        let read =
            if reads { world.lanes.values_mut().map(super::end::End::read_all).sum() } else { 0 };
        world.pump();
        if more == 0 && read == 0 {
            return sent;
        }
    }
}

fn download(world: &mut World, call: u32, lane: usize, len: usize, reads: bool) -> usize {
    let (stream, mut sent) = (world.stream_on(call, lane), 0);
    loop {
        let more = world.lane(lane).data(stream, len - sent, false);
        sent += more;
        world.pump();
        let read = if reads { world.client.read_all() } else { 0 };
        world.pump();
        if more == 0 && read == 0 {
            return sent;
        }
    }
}

fn windows(got: &[Got], stream: u32) -> usize {
    got.iter().filter(|got| matches!(got, Got::Window(id, _) if *id == stream)).count()
}

#[test]
fn much_passes_through_small_windows() {
    for (first, chunk) in [(65_535, usize::MAX), (1000, 700), (1, 100), (1 << 20, 5000)] {
        let mut world = World::new(1, &window(first), &window(first));
        world.chunk = chunk;
        let len = if first == 1 { 70_000 } else { 3 * MEGABYTE };
        let call = world.call(0, false);
        world.pump();
        world.answer(call, 0, &OK, false);
        assert_eq!(upload(&mut world, call, len, true), len);
        assert_eq!(download(&mut world, call, 0, len, true), len);
        world.client.data(call, 0, true);
        world.answer(call, 0, &FINE, true);
        world.pump();
        assert_eq!(world.ended[&call].bytes, (len as u64, len as u64));
        world.assert_empty();
    }
}

#[test]
fn grants_are_lazy() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    assert_eq!(upload(&mut world, call, 3 * MEGABYTE, true), 3 * MEGABYTE);
    let (ours, theirs) = (windows(&world.client.got, call), windows(&world.client.got, 0));
    assert!(ours <= 100 && theirs <= 25, "{ours} {theirs}");
}

#[test]
fn a_client_that_does_not_read_holds_its_upstream_back() {
    let mut world = World::plain();
    let call = world.call(0, true);
    world.pump();
    world.answer(call, 0, &OK, false);
    assert_eq!(download(&mut world, call, 0, MEGABYTE, false), 65_535);
    assert_eq!(world.switch.lanes[0].as_ref().map(|lane| lane.down_held), Some(0));
    world.client.read_all();
    world.pump();
    assert_eq!(download(&mut world, call, 0, MEGABYTE, false), 65_535);
}

#[test]
fn a_new_first_window_reaches_every_lane_and_the_newest_wins() {
    let mut world = World::new(2, &Settings::default(), &Settings::default());
    world.lane(1).acknowledges = false;
    let calls = [world.call(0, true), world.call(1, true)];
    world.pump();
    for bytes in [100_000, 50_000, 200_000, 150_000] {
        world.client.settings(&window(bytes));
        world.pump();
    }
    let told = |world: &World, lane: usize| -> Vec<u32> {
        let settings = world.lanes[&lane].got.iter().filter_map(|got| match got {
            Got::Settings(settings) => settings.initial_window_size,
            _ => None,
        });
        settings.collect()
    };
    assert_eq!(told(&world, 0), [100_000, 50_000, 200_000, 150_000]);
    assert_eq!(told(&world, 1), [100_000], "one is under way at most");
    http2::frame::write_settings_ack(&mut world.lane(1).output);
    world.pump();
    assert_eq!(told(&world, 1), [100_000, 150_000]);
    assert_eq!(world.client.got.iter().filter(|got| **got == Got::Ack).count(), 4);
    for (lane, call) in calls.into_iter().enumerate() {
        world.answer(call, lane, &OK, false);
        assert_eq!(download(&mut world, call, lane, MEGABYTE, false), 150_000);
    }
}

/// The old values are in force until the new ones are told: no byte is granted twice.
#[test]
fn a_window_that_is_not_told_yet_is_not_granted_otherwise() {
    let mut world = World::new(1, &window(10), &Settings::default());
    world.lane(0).acknowledges = false;
    world.client.settings(&window(0));
    world.pump();
    world.client.settings(&window(65_535));
    world.pump();
    let call = world.call(0, true);
    world.pump();
    http2::frame::write_settings_ack(&mut world.lane(0).output);
    world.pump();
    world.answer(call, 0, &OK, false);
    assert_eq!(download(&mut world, call, 0, MEGABYTE, false), 65_535);
}

#[test]
fn an_upstream_changes_its_windows_in_the_middle() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    assert_eq!(upload(&mut world, call, MEGABYTE, false), 65_535);
    // As grpc-go does, once it has measured the way: nothing is said of the stream itself.
    world.lane(0).settings(&window(200_000));
    world.lane(0).grant(0, 200_000);
    world.pump();
    assert_eq!(upload(&mut world, call, MEGABYTE, false), 200_000 - 65_535);
    // And smaller again: nothing is granted until it is worked off.
    world.lane(0).settings(&window(10_000));
    world.pump();
    assert_eq!(upload(&mut world, call, MEGABYTE, false), 0);
    world.lane(0).read_all();
    world.pump();
    assert_eq!(upload(&mut world, call, MEGABYTE, false), 10_000);
}

#[test]
fn second_settings_that_say_nothing_new_change_nothing() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    world.lane(0).settings(&Settings { max_header_list_size: Some(9), ..window(65_535) });
    world.lane(0).settings(&Settings::default());
    world.pump();
    assert_eq!(world.lanes[&0].got.iter().filter(|got| **got == Got::Ack).count(), 2);
    assert_eq!(upload(&mut world, call, MEGABYTE, false), 65_535);
}

#[test]
fn an_upstream_that_takes_nothing_at_first() {
    let mut world = World::new(1, &Settings::default(), &window(0));
    let call = world.call(0, false);
    assert_eq!(upload(&mut world, call, MEGABYTE, false), 65_535);
    assert_eq!(world.lanes[&0].streams[&1].came, 0);
    world.lane(0).grant(1, 10);
    world.pump();
    assert_eq!(world.lanes[&0].streams[&1].came, 10);
    world.lane(0).grant(1, MEGABYTE as u32);
    world.pump();
    assert_eq!(upload(&mut world, call, 100_000, true), 100_000);
}

/// Three answers that nobody reads take the client's whole window; the upload that it waits for goes on (A1).
#[test]
fn answers_that_nobody_reads_do_not_stop_an_upload() {
    for returns in [Returns::OnRead, Returns::Never] {
        let mut world = World::plain();
        world.client.returns = returns;
        for _ in 0..3 {
            let call = world.call(0, true);
            world.pump();
            world.answer(call, 0, &OK, false);
            download(&mut world, call, 0, MEGABYTE, false);
        }
        assert_eq!(world.client.recv, 0, "the client's window is used up");
        let call = world.call(0, false);
        world.pump();
        assert_eq!(upload(&mut world, call, MEGABYTE, true), MEGABYTE);
        // An answer without a body needs no window.
        world.answer(call, 0, &OK, true);
        world.pump();
        assert!(world.client.streams[&call].ended);
    }
}

#[test]
fn a_stalled_lane_does_not_stop_its_neighbour() {
    let mut world = World::new(2, &Settings::default(), &Settings::default());
    world.lane(0).returns = Returns::Never;
    let first: Vec<u32> = (0..10).map(|_| world.call(0, false)).collect();
    for call in first {
        assert_eq!(upload(&mut world, call, MEGABYTE, false), 65_535);
    }
    let held = world.switch.client_held;
    assert!(held > LANE_HELD && held < CLIENT_HELD);
    let call = world.call(1, false);
    world.pump();
    assert_eq!(upload(&mut world, call, 3 * MEGABYTE, true), 3 * MEGABYTE);
}

/// One of a front's callers may have four lanes, and leave much unread on each.
#[test]
fn stalled_lanes_of_one_caller_do_not_stop_the_others_of_a_front() {
    for is_front in [false, true] {
        let mut world = World::new(5, &Settings::default(), &Settings::default());
        if is_front {
            world.switch.serves_front();
        }
        for lane in 0..4 {
            world.lane(lane).returns = Returns::Never;
            for _ in 0..10 {
                let call = world.call(lane, false);
                upload(&mut world, call, MEGABYTE, false);
            }
        }
        let call = world.call(4, false);
        world.pump();
        let passed = upload(&mut world, call, 3 * MEGABYTE, true);
        assert_eq!(passed == 3 * MEGABYTE, is_front, "{passed}");
        assert!(world.switch.client_held < 4 * MEGABYTE);
    }
}

#[test]
fn what_a_client_may_leave_in_the_hub_is_bounded() {
    let mut world = World::new(1, &Settings::default(), &window(0));
    for _ in 0..40 {
        let call = world.call(0, false);
        upload(&mut world, call, MEGABYTE, false);
    }
    assert_eq!(world.switch.client_held, 2 * MEGABYTE);
    assert_eq!(world.client.send, 0);
    world.lane(0).settings(&window(1 << 20));
    world.lane(0).grant(0, 1 << 22);
    world.pump();
    assert_eq!(world.switch.client_held, 0);
    assert!(world.client.send as usize > MEGABYTE / 2);
}

/// A call whose lane holds too much is granted what is due once it holds less, for whatever reason.
#[test]
fn who_waits_for_a_clogged_lane_goes_on_when_it_is_not() {
    for why in ["reset", "refused", "taken"] {
        let mut world = World::new(1, &Settings::default(), &window(0));
        let stuck: Vec<u32> = (0..4).map(|_| world.call(0, false)).collect();
        let call = world.call(0, false);
        for call in &stuck {
            upload(&mut world, *call, MEGABYTE, false);
        }
        upload(&mut world, call, 60_000, false);
        let stream = world.stream_on(call, 0);
        world.lane(0).grant(stream, 60_000);
        world.pump();
        let last = world.call(0, false);
        upload(&mut world, last, 100, false);
        // Enough for a grant, but for those that are stuck.
        world.lane(0).grant(stream, 50_000);
        world.pump();
        assert_eq!(world.client.streams[&call].send, 5_535);
        for call in stuck {
            let stream = world.stream_on(call, 0);
            match why {
                "reset" => world.client.reset(call, Reason::CANCEL),
                "refused" => world.lane(0).reset(stream, Reason::REFUSED_STREAM),
                _ => world.lane(0).grant(stream, 65_535),
            }
        }
        world.pump();
        assert_eq!(world.client.streams[&call].send, 50_000, "{why}");
    }
}

#[test]
fn a_window_that_comes_in_small_pieces_goes_on_in_large_ones() {
    let mut world = World::plain();
    let call = world.call(0, false);
    world.pump();
    world.answer(call, 0, &OK, false);
    for _ in 0..1000 {
        for _ in 0..2 {
            world.client.data(call, 500, false);
            world.lane(0).data(1, 500, false);
            world.pump();
        }
        world.client.read_all();
        world.lane(0).read_all();
        world.pump();
    }
    assert_eq!(world.lanes[&0].streams[&1].came, MEGABYTE as u64 * 1_000_000 / (1 << 20));
    let (ours, theirs) = (windows(&world.client.got, call), windows(&world.lanes[&0].got, 1));
    assert!(ours < 50 && theirs < 50, "{ours} {theirs}");
}

/// What comes for calls that are over takes no window of those that are not.
#[test]
fn bytes_that_come_late_are_given_back() {
    let mut world = World::plain();
    let calls: Vec<u32> = (0..16).map(|_| world.call(0, false)).collect();
    world.pump();
    for call in &calls {
        let stream = world.stream_on(*call, 0);
        world.client.data(*call, MEGABYTE, false);
        world.lane(0).reset(stream, Reason::CANCEL);
    }
    world.lane_speaks(0);
    world.pump();
    assert!(world.client.send as usize > MEGABYTE / 2);
    let calls: Vec<u32> = (0..8).map(|_| world.call(0, false)).collect();
    world.pump();
    for call in &calls {
        let stream = world.stream_on(*call, 0);
        world.answer(*call, 0, &OK, false);
        world.lane_speaks(0);
        world.client.reset(*call, Reason::CANCEL);
        assert_eq!(world.lane(0).streams[&stream].sent, 0);
    }
    for call in &calls {
        let stream = world.stream_on(*call, 0);
        world.lane(0).data(stream, 8_000, false);
    }
    assert!(world.lanes[&0].send < 2_000);
    world.client_speaks();
    world.pump();
    assert!(world.lanes[&0].send > 32_000);
    world.assert_empty();
}

#[test]
fn padding_is_given_back() {
    let mut world = World::plain();
    world.client.returns = Returns::OnRead;
    let call = world.call(0, false);
    world.pump();
    world.answer(call, 0, &OK, false);
    for _ in 0..5000 {
        world.client.padded(call, 10, 255);
        world.lane(0).padded(1, 10, 255);
        world.pump();
    }
    assert!(world.lanes[&0].streams[&1].came >= 40_000);
    assert!(world.client.streams[&call].came >= 40_000);
    world.client.read_all();
    world.lane(0).read_all();
    world.pump();
    assert!(world.client.streams[&call].send > 10_000);
    assert!(world.lanes[&0].streams[&1].send > 10_000);
}
