//! How fast each caller of a connection may be served. What goes beyond waits; nothing of it fails, and no other caller
//! of the connection waits with it.

use std::collections::{HashMap, VecDeque};

use switch::CallId;
use tokio::time::Instant;
use tunnel::token_bucket::TokenBucket;

use crate::limits::{ANSWERS, CALLERS_REMEMBERED, CLIENT_RESETS, HEAD_BYTES, HEAD_BYTES_FREE};
use crate::observe::limit::Limit;

/// A caller of a connection.
pub(super) type CallerId = usize;

/// All callers of one connection.
#[derive(Debug)]
pub(super) struct Callers {
    /// The first is of all who call without a good token.
    paces: Vec<Paces>,
    /// The others, by what the auth file calls them, or the address that a trusted proxy forwards.
    by_id: HashMap<String, CallerId>,
    /// Several have called that are told apart.
    is_front: bool,
    /// Those that have calls waiting.
    waiting: Vec<CallerId>,
}

/// One caller's.
#[derive(Debug)]
struct Paces {
    /// Calls that the hub itself answers.
    answers: TokenBucket,
    /// Bytes of long heads, as they are when decoded.
    heads: TokenBucket,
    /// Calls that were given up.
    given_up: TokenBucket,
    /// Calls that wait until they may begin.
    begins: VecDeque<CallId>,
    /// Calls that wait until they are answered.
    answered: VecDeque<CallId>,
    /// Its calls.
    calls: usize,
}

/// What a call may do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Begin(CallId),
    Answer(CallId),
}

impl Callers {
    pub(super) fn new() -> Self {
        Self {
            paces: vec![Paces::new()],
            by_id: HashMap::new(),
            is_front: false,
            waiting: Vec::new(),
        }
    }

    /// The caller of this id, who has one more call; all who have none are one.
    pub(super) fn enter(&mut self, id: Option<&str>) -> CallerId {
        let caller = id.map_or(0, |id| self.find(id));
        self.paces[caller].calls += 1;
        caller
    }

    fn find(&mut self, id: &str) -> CallerId {
        if let Some(known) = self.by_id.get(id) {
            return *known;
        }
        self.is_front |= !self.by_id.is_empty();
        let caller = match self.forget_one() {
            Some(free) => free,
            None => {
                self.paces.push(Paces::new());
                self.paces.len() - 1
            }
        };
        self.by_id.insert(id.to_owned(), caller);
        caller
    }

    /// Forgets callers who owe nothing where many are known; returns one place that is free so.
    fn forget_one(&mut self) -> Option<CallerId> {
        if self.by_id.len() < CALLERS_REMEMBERED {
            return None;
        }
        let Self { paces, by_id, .. } = self;
        let spent = by_id.iter().find(|(_, caller)| paces[**caller].is_unused());
        let (id, caller) = spent.map(|(id, caller)| (id.clone(), *caller))?;
        self.by_id.remove(&id);
        Some(caller)
    }

    /// A call of it is over. One that was given up, or broken, counts: the next ones may have to wait. Returns the limit
    /// that is reached so.
    pub(super) fn leave(&mut self, caller: CallerId, gave_up: bool) -> Option<Limit> {
        let paces = &mut self.paces[caller];
        paces.calls -= 1;
        (gave_up && paces.given_up.owe(1)).then_some(Limit::ClientResets)
    }

    /// How many are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.paces.len()
    }

    /// Whether it is not a caller's own connection but that of a proxy, on which several call.
    pub(super) fn is_front(&self) -> bool {
        self.is_front
    }

    /// Whether a call with so large a header list may begin; else it waits. A few bytes of references to fields that
    /// came before can stand for all of it, so the frame guard does not see it.
    pub(super) fn may_begin(
        &mut self,
        caller: CallerId,
        call: CallId,
        head: usize,
    ) -> (bool, Option<Limit>) {
        let paces = &mut self.paces[caller];
        let long = (head as u32).saturating_sub(HEAD_BYTES_FREE);
        let reached = long > 0 && paces.heads.owe(long);
        let limit = reached.then_some(Limit::ClientHeads);
        if paces.begins.is_empty() && paces.begins_at().is_none() {
            return (true, limit);
        }
        paces.begins.push_back(call);
        self.note_waiting(caller);
        (false, limit)
    }

    /// Whether the hub itself may answer a call now; else it waits: one after the other, so that a client which calls
    /// only to be refused does not keep the thread busy.
    pub(super) fn may_be_answered(
        &mut self,
        caller: CallerId,
        call: CallId,
    ) -> (bool, Option<Limit>) {
        let paces = &mut self.paces[caller];
        if paces.answered.is_empty() && paces.answers.in_debt_until().is_none() {
            return (true, paces.answers.owe(1).then_some(Limit::Answers));
        }
        paces.answered.push_back(call);
        self.note_waiting(caller);
        (false, None)
    }

    fn note_waiting(&mut self, caller: CallerId) {
        if !self.waiting.contains(&caller) {
            self.waiting.push(caller);
        }
    }

    /// The call waits no more, for it is over.
    pub(super) fn forget(&mut self, caller: CallerId, call: CallId) {
        if self.waiting.contains(&caller) {
            self.paces[caller].begins.retain(|other| *other != call);
            self.paces[caller].answered.retain(|other| *other != call);
        }
    }

    /// The next call that need not wait any longer.
    pub(super) fn due(&mut self) -> Option<Due> {
        let Self { waiting, paces, .. } = self;
        waiting.retain(|caller| paces[*caller].has_waiting());
        waiting.iter().find_map(|caller| paces[*caller].due())
    }

    /// When the next call need not wait any longer.
    pub(super) fn due_at(&mut self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        let (paces, now) = (&mut self.paces, Instant::now());
        self.waiting.iter().filter_map(|caller| paces[*caller].due_at(now)).min()
    }
}

impl Paces {
    fn new() -> Self {
        Self {
            answers: TokenBucket::new(ANSWERS),
            heads: TokenBucket::new(HEAD_BYTES),
            given_up: TokenBucket::new(CLIENT_RESETS),
            begins: VecDeque::new(),
            answered: VecDeque::new(),
            calls: 0,
        }
    }

    fn begins_at(&mut self) -> Option<Instant> {
        self.heads.in_debt_until().max(self.given_up.in_debt_until())
    }

    fn has_waiting(&self) -> bool {
        !self.begins.is_empty() || !self.answered.is_empty()
    }

    fn due(&mut self) -> Option<Due> {
        if !self.begins.is_empty() && self.begins_at().is_none() {
            return self.begins.pop_front().map(Due::Begin);
        }
        if !self.answered.is_empty() && self.answers.in_debt_until().is_none() {
            // It is owed now, not when it came: those who wait are not answered in one lot when all of it is paid, which
            // would keep the thread, and a processor, from others for a millisecond.
            self.answers.owe(1);
            return self.answered.pop_front().map(Due::Answer);
        }
        None
    }

    fn due_at(&mut self, now: Instant) -> Option<Instant> {
        let begin = (!self.begins.is_empty()).then(|| self.begins_at().unwrap_or(now));
        let answer =
            (!self.answered.is_empty()).then(|| self.answers.in_debt_until().unwrap_or(now));
        [begin, answer].into_iter().flatten().min()
    }

    /// Whether nothing is owed, so that forgetting it changes nothing.
    fn is_unused(&mut self) -> bool {
        let Self { answers, heads, given_up, .. } = self;
        self.calls == 0 && [answers, heads, given_up].into_iter().all(TokenBucket::is_full)
    }
}
