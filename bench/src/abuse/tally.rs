//! What an abuser has done, and what the hub did about it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Counted by several threads at once.
pub(crate) struct Tally {
    announce: fn(&str),
    ready: AtomicBool,
    done: AtomicU64,
    connections: AtomicU64,
    ended: Mutex<BTreeMap<String, u64>>,
}

impl Tally {
    /// Nothing yet; `announce` is told "ready", once.
    pub(crate) fn new(announce: fn(&str)) -> Self {
        Self {
            announce,
            ready: AtomicBool::new(false),
            done: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            ended: Mutex::new(BTreeMap::new()),
        }
    }

    /// The abuse is under way.
    pub(crate) fn ready(&self) {
        if !self.ready.swap(true, Ordering::Relaxed) {
            (self.announce)("ready");
        }
    }

    /// So many more calls, frames or what else the abuse consists of.
    pub(crate) fn did(&self, count: u64) {
        self.done.fetch_add(count, Ordering::Relaxed);
        self.ready();
    }

    /// One more connection.
    pub(crate) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// The hub has ended one with these words.
    pub(crate) fn ended(&self, how: &str) {
        *self.ended.lock().entry(how.to_owned()).or_default() += 1;
    }

    /// One failed.
    pub(crate) fn failed(&self, error: &io::Error) {
        self.ended(&error.kind().to_string());
        self.ready();
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (done, connections) = (&self.done, &self.connections);
        write!(f, "{} done", done.load(Ordering::Relaxed))?;
        write!(f, ", {} connections", connections.load(Ordering::Relaxed))?;
        for (how, count) in &*self.ended.lock() {
            write!(f, ", {count} × {how}")?;
        }
        Ok(())
    }
}
