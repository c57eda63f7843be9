//! Who comes next: turns by bytes, in which whoever has just become busy goes first (as in RFC 8290).

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};

use crate::limits::LANE_TURN;

/// Keys that have something to send. Each may send [`LANE_TURN`] bytes in a turn (deficit round robin).
#[derive(Debug)]
pub(super) struct FairQueue<K> {
    /// Those that were idle for a round: they go first, once.
    fresh: VecDeque<K>,
    waiting: VecDeque<K>,
}

/// A key's place in the queue, kept where everything else about the key is kept.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Bytes that may still be sent in it.
    left: i64,
    /// There is something to send. One that has left keeps its place for a round, so that nobody becomes fresh
    /// by pausing for a moment.
    busy: bool,
    queued: bool,
}

impl Turn {
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// So many bytes were sent in it.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.left -= bytes as i64;
    }
}

/// What has a place in a queue.
pub(super) trait HasTurn {
    fn turn(&mut self) -> &mut Turn;
}

impl<K> Default for FairQueue<K> {
    fn default() -> Self {
        Self { fresh: VecDeque::new(), waiting: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash> FairQueue<K> {
    /// `key` has something to send.
    pub(super) fn join(&mut self, key: K, turn: &mut Turn) {
        turn.busy = true;
        if !turn.queued {
            *turn = Turn { left: LANE_TURN, busy: true, queued: true };
            self.fresh.push_back(key);
        }
    }

    /// Whose turn it is. It stays in front until it leaves, or has sent enough.
    pub(super) fn next<T: HasTurn>(
        &mut self,
        all: &mut HashMap<K, T, impl BuildHasher>,
    ) -> Option<K> {
        loop {
            let key = self.fresh.front().or_else(|| self.waiting.front()).copied()?;
            match all.get_mut(&key).map(HasTurn::turn) {
                Some(turn) if turn.busy && turn.left > 0 => return Some(key),
                Some(turn) if turn.busy => {
                    turn.left += LANE_TURN;
                    self.pop();
                    self.waiting.push_back(key);
                }
                Some(turn) => {
                    turn.queued = false;
                    self.pop();
                }
                None => self.pop(),
            }
        }
    }

    /// The one whose turn it is has nothing more to send.
    pub(super) fn leave(&mut self, key: K, turn: &mut Turn) {
        self.pop();
        self.waiting.push_back(key);
        turn.busy = false;
        if turn.left <= 0 {
            turn.left += LANE_TURN;
        }
    }

    /// There is no such key any longer.
    pub(super) fn remove(&mut self, key: K, turn: &Turn) {
        if turn.queued {
            self.fresh.retain(|other| *other != key);
            self.waiting.retain(|other| *other != key);
        }
    }

    fn pop(&mut self) {
        if self.fresh.pop_front().is_none() {
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: usize = LANE_TURN as usize / 4;

    impl HasTurn for Turn {
        fn turn(&mut self) -> &mut Turn {
            self
        }
    }

    #[derive(Default)]
    struct Keys {
        queue: FairQueue<char>,
        turns: HashMap<char, Turn>,
    }

    impl Keys {
        fn join(&mut self, keys: &str) {
            for key in keys.chars() {
                self.queue.join(key, self.turns.entry(key).or_default());
            }
        }

        /// Whose turns they are while so many pieces are sent. Some `leave` after each of theirs.
        fn served(&mut self, pieces: usize, leave: &str) -> String {
            let mut served = String::new();
            for _ in 0..pieces {
                let key = self.queue.next(&mut self.turns).expect("somebody waits");
                let turn = self.turns.get_mut(&key).expect("known");
                turn.sent(PIECE);
                if leave.contains(key) {
                    self.queue.leave(key, turn);
                }
                if !served.ends_with(key) {
                    served.push(key);
                }
            }
            served
        }
    }

    #[test]
    fn turns_go_round_by_bytes() {
        let mut keys = Keys::default();
        keys.join("abc");
        assert_eq!(keys.served(24, ""), "abcabc");
        assert_eq!(keys.served(5, "b"), "ab");
        assert_eq!(keys.served(16, ""), "caca");
    }

    #[test]
    fn who_has_just_become_busy_goes_first_and_once() {
        let mut keys = Keys::default();
        keys.join("ab");
        keys.served(9, "");
        keys.join("c");
        assert_eq!(keys.served(4, ""), "c");
        assert_eq!(keys.served(8, ""), "abc");
    }

    /// Whoever pauses after each piece gets no more than whoever does not.
    #[test]
    fn nobody_becomes_fresh_by_a_short_pause() {
        let mut keys = Keys::default();
        keys.join("ab");
        let mut pieces = HashMap::new();
        for _ in 0..400 {
            let served = keys.served(1, "a");
            *pieces.entry(served).or_insert(0) += 1;
            keys.join("a");
        }
        assert!(pieces["a"] <= pieces["b"] + 4, "{pieces:?}");
    }

    #[test]
    fn an_empty_queue_has_nobody_and_forgets_who_was_there() {
        let mut keys = Keys::default();
        keys.join("ab");
        keys.queue.remove('a', &keys.turns.remove(&'a').expect("known"));
        assert_eq!(keys.served(1, "b"), "b");
        assert_eq!(keys.queue.next(&mut keys.turns), None);
        assert!(keys.queue.waiting.is_empty() && !keys.turns[&'b'].queued);
    }
}
