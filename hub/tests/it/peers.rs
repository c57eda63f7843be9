//! Several hubs: names of each can be called at all.

mod activity;
mod beginning;
mod calls;
mod coming_and_going;
mod doors;
mod owners;
mod spread;
