//! The first seconds of a hub that has others: it does not know their names yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::time::{sleep, timeout};

use crate::config::peer_addr::PeerAddr;
use crate::directory::Nodes;
use crate::limits::{BEGINNING, PEER_NEWS};

/// While it lasts, whoever has a choice should look elsewhere.
#[derive(Debug)]
pub(crate) struct Beginning {
    lasts: AtomicBool,
    /// The id of the hub process that each address has led to.
    found: Mutex<BTreeMap<PeerAddr, String>>,
}

impl Beginning {
    pub(crate) fn new(has_others: bool) -> Self {
        Self { lasts: AtomicBool::new(has_others), found: Mutex::default() }
    }

    pub(crate) fn lasts(&self) -> bool {
        self.lasts.load(Ordering::Relaxed)
    }

    /// At this address is the hub of this id.
    pub(crate) fn found(&self, at: &PeerAddr, node: &str) {
        self.found.lock().insert(at.clone(), node.to_owned());
    }

    /// Ends once each hub that there is was heard of completely, and after [`BEGINNING`] at the latest: one that is away may
    /// be so for long. `nodes` is where they are, as soon as that is known.
    pub(crate) async fn pass(
        &self,
        nodes: impl Fn() -> Option<Nodes>,
        is_heard: impl Fn(&str) -> bool,
    ) {
        let all_heard = async {
            while !nodes().is_some_and(|nodes| self.are_heard(&nodes, &is_heard)) {
                sleep(PEER_NEWS).await;
            }
        };
        let _ = timeout(BEGINNING, all_heard).await;
        self.lasts.store(false, Ordering::Relaxed);
    }

    fn are_heard(&self, nodes: &Nodes, is_heard: impl Fn(&str) -> bool) -> bool {
        let found = self.found.lock();
        nodes.iter().all(|at| found.get(at).is_some_and(|node| is_heard(node)))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::Instant;

    use super::*;

    fn at(port: u16) -> PeerAddr {
        format!("hub:{port}").parse().expect("an address")
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_once_all_are_heard_of() {
        let (beginning, heard) = (Beginning::new(true), Cell::new(false));
        let began = Instant::now();
        let passes = beginning
            .pass(|| Some(Nodes::from([at(1), at(2)])), |node| node == "itself" || heard.get());
        let happens = async {
            beginning.found(&at(1), "itself");
            sleep(BEGINNING / 4).await;
            heard.set(true);
            sleep(BEGINNING / 4).await;
            assert!(beginning.lasts(), "nobody knows who the other one is");
            beginning.found(&at(2), "other");
        };
        tokio::join!(passes, happens);
        assert!(!beginning.lasts());
        assert!(began.elapsed() < BEGINNING);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_away_is_not_waited_for_longer() {
        for nodes in [None, Some(Nodes::from([at(1)]))] {
            let (beginning, began) = (Beginning::new(true), Instant::now());
            beginning.pass(|| nodes.clone(), |_| true).await;
            assert!(!beginning.lasts());
            assert_eq!(began.elapsed().as_secs(), BEGINNING.as_secs());
        }
    }
}
