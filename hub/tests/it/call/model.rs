//! The switch against a model: whatever both sides do, in whatever order, each hears what the other said.
//!
//! `PROPTEST_CASES` widens it. What fails is printed as the shortest sequence of steps that still fails.

mod call;
mod finale;
mod judge;
mod run;
mod say;
mod step;
mod wire;

use std::cell::Cell;
use std::time::Duration;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::runtime;

use self::run::run;
use self::step::{Case, case};
use crate::support::hub::Hub;

/// Long enough to believe that a hub hangs, and to try the same with less.
const PATIENCE: Duration = Duration::from_secs(30);
const SHRINKING: Duration = Duration::from_secs(1);

#[test]
fn the_switch_does_what_the_model_does() {
    let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.unwrap();
    let hub = runtime.block_on(Hub::start());
    let (cases, failed) = (Cell::new(0), Cell::new(false));
    let outcome = TestRunner::new(config()).run(&case(), |case| {
        cases.set(cases.get() + 1);
        let name = format!("case-{}", cases.get());
        let patience = if failed.get() { SHRINKING } else { PATIENCE };
        let outcome = runtime.block_on(run(&hub, &name, &case, patience));
        failed.set(failed.get() || outcome.is_err());
        outcome.map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, Case { client, upstream, steps, finale })) => {
            let steps = steps.iter().map(|step| format!("{step:?}\n")).collect::<String>();
            panic!("{reason}\nclient: {client:?}\nupstream: {upstream:?}\n{steps}{finale:?}");
        }
        Err(error) => panic!("{error}"),
    }
}

/// The same cases every time, so that nobody's change fails for what was there before; others for whoever
/// asks for a number of them.
fn config() -> Config {
    const SEED: u64 = 7541;
    let widened = std::env::var_os("PROPTEST_CASES").is_some();
    let rng_seed = if widened { RngSeed::Random } else { RngSeed::Fixed(SEED) };
    Config { rng_seed, failure_persistence: None, ..Config::default() }
}
