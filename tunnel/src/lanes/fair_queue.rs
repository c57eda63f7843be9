//! Who comes next: turns by bytes, in which whoever has just become busy goes first (as in RFC 8290).

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};

use crate::limits::LANE_TURN;

/// Keys that have something to send. Each may send [`LANE_TURN`] bytes in a round (deficit round robin).
#[derive(Debug)]
pub(super) struct FairQueue<K> {
    /// Those that have just become busy, and have something left of their turn in this round: they go first.
    fresh: VecDeque<K>,
    /// All that have been busy in this round.
    round: VecDeque<K>,
}

/// A key's place in the queue, kept where everything else about the key is kept.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// Bytes that may still be sent in its turn.
    left: i64,
    /// That is its next turn, for the one of this round is over.
    is_over: bool,
    /// There is something to send.
    busy: bool,
    is_fresh: bool,
    /// It stands in the round, busy or not: nobody gets more by pausing for a moment.
    in_round: bool,
}

impl Turn {
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    /// It is over if all of it was used.
    fn end(&mut self) {
        if self.left <= 0 {
            self.left += LANE_TURN;
            self.is_over = true;
        }
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
        Self { fresh: VecDeque::new(), round: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash> FairQueue<K> {
    /// `key` has something to send. One that sends little goes first each time, until its turn of this round is over.
    pub(super) fn join(&mut self, key: K, turn: &mut Turn) {
        turn.busy = true;
        if !turn.in_round && !turn.is_fresh {
            (turn.left, turn.is_over) = (LANE_TURN, false);
        }
        if !turn.is_over && !turn.is_fresh {
            turn.is_fresh = true;
            self.fresh.push_back(key);
        }
    }

    /// Whose turn it is. It stays in front until it leaves, or has sent enough.
    pub(super) fn next<T: HasTurn>(
        &mut self,
        all: &mut HashMap<K, T, impl BuildHasher>,
    ) -> Option<K> {
        while let Some(key) = self.fresh.front().copied() {
            let turn = all.get_mut(&key).map(HasTurn::turn);
            if turn.as_ref().is_some_and(|turn| turn.busy && turn.left > 0) {
                return Some(key);
            }
            self.fresh.pop_front();
            if let Some(turn) = turn {
                turn.is_fresh = false;
                turn.end();
                self.enter_round(key, turn);
            }
        }
        while let Some(key) = self.round.front().copied() {
            match all.get_mut(&key).map(HasTurn::turn) {
                Some(turn) if turn.busy && turn.left > 0 => {
                    turn.is_over = false;
                    return Some(key);
                }
                Some(turn) if turn.busy => {
                    turn.end();
                    self.round.rotate_left(1);
                }
                Some(turn) => {
                    turn.in_round = false;
                    self.round.pop_front();
                }
                None => drop(self.round.pop_front()),
            }
        }
        None
    }

    fn enter_round(&mut self, key: K, turn: &mut Turn) {
        if !std::mem::replace(&mut turn.in_round, true) {
            self.round.push_back(key);
        }
    }

    /// The one whose turn it is has nothing more to send.
    pub(super) fn leave(&mut self, key: K, turn: &mut Turn) {
        turn.busy = false;
        turn.end();
        if std::mem::take(&mut turn.is_fresh) {
            self.fresh.pop_front();
            self.enter_round(key, turn);
        } else {
            self.round.rotate_left(1);
        }
    }

    /// There is no such key any longer.
    pub(super) fn remove(&mut self, key: K, turn: &Turn) {
        if turn.is_fresh {
            self.fresh.retain(|other| *other != key);
        }
        if turn.in_round {
            self.round.retain(|other| *other != key);
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

    #[test]
    fn who_sends_little_goes_first_each_time_until_its_turn_is_over() {
        let mut keys = Keys::default();
        keys.join("abcd");
        keys.served(4 * 4, "");
        let mut served = String::new();
        for _ in 0..6 {
            keys.join("x");
            served += &keys.served(2, "x");
        }
        // Four pieces are a turn; the next ones wait for a round.
        assert_eq!(served, "xaxaxaxabb");
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
        assert!(keys.queue.round.is_empty() && !keys.turns[&'b'].in_round);
    }
}
