//! A switch between a client, upstreams and an owner who do whatever they like: it does not panic; it says nothing that
//! HTTP/2 does not allow, and sends nobody more than its windows have room for; every call that began has ended once,
//! and its owner is told so; no call is sent again more than twice to upstreams that speak; and once the client and all
//! lanes are gone nothing is left.
//!
//! Input: manners and a size of chunks, then steps (`steps.rs`), among them what the owner decides when it is told
//! something (`owner.rs`).
#![no_main]

mod owner;
mod peer;
mod says;
mod steps;
mod stream;
mod world;

use fuzz::Draw;
use libfuzzer_sys::fuzz_target;

use world::World;

/// Steps of one script: more only take longer.
const STEPS_MAX: usize = 300;

fuzz_target!(|script: &[u8]| {
    let mut world = World::new(Draw::new(script));
    for _ in 0..STEPS_MAX {
        if !world.step() {
            break;
        }
    }
    world.finish();
});
