//! What a tally remembers, by a paused clock, and what it forgets.

use http::StatusCode;
use tokio::time::advance;

use super::*;

fn ending(method: &str, outcome: Outcome, head: u64) -> Ending<'_> {
    Ending { head: Some(Duration::from_micros(head)), ..Ending::of_a_test(method, outcome) }
}

const OK: Outcome = Outcome::Grpc(0);
const UNIMPLEMENTED: Outcome = Outcome::Grpc(12);

fn calls(tally: &Tally) -> Vec<u32> {
    tally.look(|lately, _| lately.steps().map(|step| step.calls).collect()).unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_last_minutes_are_remembered_step_by_step() {
    let tally = Tallies::new(1).begin();
    assert!(tally.look(|_, _| ()).is_none(), "nobody has called");
    for count in 1..=3 {
        (0..count).for_each(|_| tally.ended(&ending("/a/b", OK, 1), (0, 0)));
        advance(RECENT_STEP).await;
    }
    assert_eq!(calls(&tally), [1, 2, 3, 0]);
    advance(10 * RECENT_STEP).await;
    assert_eq!(calls(&tally), [&[1, 2, 3][..], &[0; 11]].concat());
    advance(47 * RECENT_STEP).await;
    assert_eq!(calls(&tally).len(), 60, "five minutes");
    assert_eq!(calls(&tally)[..2], [2, 3]);
    advance(1000 * RECENT_STEP).await;
    tally.ended(&ending("/a/b", OK, 1), (0, 0));
    assert_eq!(calls(&tally).iter().sum::<u32>(), 1);
}

#[tokio::test(start_paused = true)]
async fn rates_are_those_of_the_last_minute() {
    let tally = Tallies::new(1).begin();
    tally.ended(&ending("/a/b", Outcome::Http(StatusCode::BAD_GATEWAY), 1), (0, 0));
    let rates = || tally.look(|lately, _| lately.rates()).expect("somebody has called");
    assert_eq!((rates().calls, rates().errors), (1.0, 1.0), "at once");
    for _ in 0..200 {
        advance(Duration::from_secs(1)).await;
        (0..10).for_each(|_| tally.ended(&ending("/a/b", OK, 1), (0, 0)));
        tally.moved((10, 1000));
    }
    let now = rates();
    assert!((9.5..11.0).contains(&now.calls) && now.errors == 0.0, "{now:?}");
    assert!((950.0..1100.0).contains(&now.bytes.1), "{now:?}");
    advance(Duration::from_secs(61)).await;
    assert_eq!(rates(), Rates::default());
}

#[tokio::test(start_paused = true)]
async fn quantiles_are_within_a_tenth_and_forget() {
    let tally = Tallies::new(1).begin();
    let quantiles = || tally.look(|lately, _| lately.quantiles([0.5, 0.99])).flatten();
    (1..=1000).for_each(|n| tally.ended(&ending("/a/b", OK, 100 * n), (0, 0)));
    let [half, most] = quantiles().expect("times").map(|time| time.as_micros());
    assert!((45_000..=55_000).contains(&half), "{half}");
    assert!((89_000..=109_000).contains(&most), "{most}");
    advance(Duration::from_secs(31)).await;
    assert!(quantiles().is_some(), "of the half before");
    tally.ended(&ending("/a/b", OK, 7), (0, 0));
    advance(Duration::from_secs(30)).await;
    let [half, _] = quantiles().expect("one").map(|time| time.as_micros());
    assert!((6..=8).contains(&half), "{half}");
    advance(Duration::from_secs(3600)).await;
    assert_eq!(quantiles(), None);
}

#[tokio::test(start_paused = true)]
async fn all_times_have_a_place() {
    let tally = Tallies::new(1).begin();
    [0, 1, u64::MAX].iter().for_each(|micros| tally.ended(&ending("/a/b", OK, *micros), (0, 0)));
    let [least, most] =
        tally.look(|lately, _| lately.quantiles([0.0, 1.0])).flatten().expect("times");
    assert!(
        least < Duration::from_micros(10) && most > Duration::from_secs(3600),
        "{least:?} {most:?}"
    );
}

/// Method and calls, as the page is told.
fn methods(tally: &Tally) -> Vec<(String, u64)> {
    let count = |tally: &MethodTally| tally.outcomes.iter().map(|(_, times)| times).sum();
    let all = tally.look(|_, methods| {
        methods.all().map(|(method, tally)| (method.to_owned(), count(tally))).collect()
    });
    all.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn methods_are_bounded_and_those_that_nobody_has_stand_together() {
    let tally = Tallies::new(1).begin();
    tally.ended(&ending("/a/no", UNIMPLEMENTED, 1), (0, 0));
    let given_up = Ending {
        is_clients: true,
        head: None,
        ..ending("/a/given-up", Outcome::Reset(h2::Reason::CANCEL), 1)
    };
    tally.ended(&given_up, (0, 0));
    tally.ended(&ending("/a/b", OK, 1), (0, 0));
    tally.ended(&ending("/a/b", UNIMPLEMENTED, 1), (0, 0));
    tally.ended(&ending(&"x".repeat(300), OK, 1), (0, 0));
    assert_eq!(methods(&tally), [(String::new(), 3), ("/a/b".into(), 2)]);
    (0..100).for_each(|n| tally.ended(&ending(&format!("/a/{n}"), OK, 1), (0, 0)));
    let all = methods(&tally);
    assert_eq!((all.len(), all.iter().map(|(_, calls)| calls).sum::<u64>()), (50, 105));
    let shared = tally.shared.clone();
    assert_eq!(shared.methods.load(Ordering::Relaxed), 49);
    drop(tally);
    assert_eq!(shared.methods.load(Ordering::Relaxed), 0, "others have their places");
}

#[test]
fn a_clock_that_goes_back_takes_nothing_away() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    let tally = runtime.block_on(async {
        let tally = Tallies::new(1).begin();
        tally.ended(&ending("/a/b", OK, 1), (0, 0));
        advance(Duration::from_secs(40)).await;
        tally.ended(&ending("/a/b", OK, 1), (0, 0));
        tally
    });
    drop(runtime);
    // By the real clock, for there is no runtime now: as when a call is dropped with it.
    tally.ended(&ending("/a/b", OK, 1), (0, 0));
    assert_eq!(calls(&tally), [1, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert!(tally.look(|lately, _| lately.quantiles([0.5])).flatten().is_some());
}
