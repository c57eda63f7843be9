//! Keeps the account of small DATA frames that some upstreams keep, so that nobody overdraws it for all.
//!
//! `h2` since 0.4.16, and so hyper and tonic, counts for each DATA frame of less than 256 bytes what it falls
//! short of them, until the handler has taken it. When that comes to half of the connection's window the
//! whole connection is ended: two thousand messages of a byte, at tonic, to one handler that does not read.
//! Nothing on the wire tells whether a handler reads. So here all frames count as unread until it answers,
//! or gives their window back; and whoever has sent more of them than its share sends what follows in larger
//! frames, which count nothing, or one a second.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};
use tunnel::limits::{COUNTED_FRAME, UNREAD_FRAME_PAUSE};

use crate::origin::Party;
use crate::share::fair_upload;

/// The window of a connection before anybody has said more (RFC 9113 6.9.2).
pub(crate) const INITIAL_WINDOW: usize = 65_535;

/// What an upstream bears that gives its connection so large a window (`DataFrameBudget::Auto` in h2). Hyper
/// gives it more than goes without saying, so who does not is no hyper.
fn budget(window: usize) -> usize {
    if window <= INITIAL_WINDOW { usize::MAX } else { window / 2 }
}

/// The account of one connection to an upstream.
#[derive(Debug, Default)]
pub(crate) struct UnreadFrames {
    /// The upstream keeps one.
    pub(crate) counted: bool,
    /// What it may have counted by now.
    spent: usize,
    /// Of that, what each caller has spent.
    callers: HashMap<Party, usize>,
    /// When those who have had their share may send another small frame.
    next: HashMap<Party, Instant>,
}

/// Small frames that wait for others to join them.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Until then, if nothing else comes.
    pause: Option<Pin<Box<Sleep>>>,
    /// It has begun, and nobody was told.
    untold: bool,
}

impl UnreadFrames {
    /// What a DATA frame of so many bytes costs. The last of a stream costs nothing, nor do empty ones, which
    /// the hub does not pass on.
    pub(crate) fn cost(&self, bytes: usize, last: bool) -> usize {
        let free = !self.counted || last || bytes == 0;
        if free { 0 } else { COUNTED_FRAME.saturating_sub(bytes) }
    }

    /// What frames of so many bytes cost at most.
    pub(crate) fn most(bytes: u64) -> usize {
        // None has less than a byte.
        (bytes as usize).saturating_mul(COUNTED_FRAME - 1)
    }

    /// A caller sends a frame that costs so much.
    pub(crate) fn sent(&mut self, caller: Party, cost: usize) {
        if cost > 0 {
            self.spent += cost;
            *self.callers.entry(caller).or_default() += cost;
        }
    }

    /// A frame of `bytes` has gone out: a large one pays for small ones with what it has more, unless it is the
    /// last of its stream.
    pub(crate) fn passed(&mut self, bytes: usize, last: bool) {
        let more = if last { 0 } else { bytes.saturating_sub(COUNTED_FRAME) };
        self.spent = self.spent.saturating_sub(more);
    }

    /// What a caller has sent has been read, or is gone.
    pub(crate) fn read(&mut self, caller: Party, cost: usize) {
        self.spent = self.spent.saturating_sub(cost);
        if let Some(spent) = self.callers.get_mut(&caller) {
            *spent = spent.saturating_sub(cost);
            if *spent == 0 {
                self.callers.remove(&caller);
            }
        }
    }

    /// Whether a caller may send a frame that costs so much, where the connection's window is so large; else
    /// when it may ask again.
    pub(crate) fn ask(&mut self, caller: Party, cost: usize, window: usize) -> Result<(), Instant> {
        if cost == 0 {
            return Ok(());
        }
        let bears = budget(window);
        let mine = self.callers.get(&caller).copied().unwrap_or(0);
        let alone = self.callers.len() == usize::from(mine > 0);
        let share = fair_upload(bears.saturating_sub(self.spent), bears, alone);
        if mine.min(self.spent) + cost <= share {
            return Ok(());
        }
        self.ask_to_go_beyond(caller)
    }

    fn ask_to_go_beyond(&mut self, caller: Party) -> Result<(), Instant> {
        let now = Instant::now();
        if !self.next.contains_key(&caller) {
            self.next.retain(|_, next| now < *next);
        }
        let next = self.next.entry(caller).or_insert(now + UNREAD_FRAME_PAUSE);
        if now < *next {
            return Err(*next);
        }
        *next = now + UNREAD_FRAME_PAUSE;
        Ok(())
    }

    /// Whether so much of it may be used up that calls had better go to another connection.
    pub(crate) fn is_worn(&self, window: usize) -> bool {
        self.counted && self.spent >= budget(window) / 4 * 3
    }
}

impl Hold {
    /// Ready when what is asked for is granted.
    pub(crate) fn poll_over(
        &mut self,
        cx: &mut Context<'_>,
        mut ask: impl FnMut() -> Result<(), Instant>,
    ) -> Poll<()> {
        while let Err(next) = ask() {
            self.untold |= self.pause.is_none();
            let pause = self.pause.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if pause.deadline() != next {
                pause.as_mut().reset(next);
            }
            ready!(pause.as_mut().poll(cx));
        }
        self.pause = None;
        Poll::Ready(())
    }

    /// Whether it has begun since this was last asked.
    pub(crate) fn has_begun(&mut self) -> bool {
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    const MIB: usize = 1 << 20;
    const BYTE: usize = COUNTED_FRAME - 1;

    fn caller(connection: u64) -> Party {
        Party { connection, address: IpAddr::V4(Ipv4Addr::LOCALHOST) }
    }

    fn account() -> UnreadFrames {
        UnreadFrames { counted: true, ..UnreadFrames::default() }
    }

    /// Sends messages of a byte for as long as that is allowed; returns how many.
    fn fill(frames: &mut UnreadFrames, caller: Party) -> usize {
        let mut sent = 0;
        while frames.ask(caller, BYTE, MIB).is_ok() {
            frames.sent(caller, BYTE);
            sent += 1;
            assert!(sent < 10_000);
        }
        sent
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_uses_up_what_the_upstream_bears() {
        let mut frames = account();
        let of_all = MIB / 2 / BYTE;
        let first = fill(&mut frames, caller(1));
        assert!(
            ((of_all / 8 * 7 - 8)..=(of_all / 8 * 7 + 8)).contains(&first),
            "{first} of {of_all}"
        );
        assert!(frames.is_worn(MIB));
        let second = fill(&mut frames, caller(2));
        assert!(second > 30, "something is left for the next: {second}");
        frames.read(caller(1), first * BYTE);
        assert!(!frames.is_worn(MIB));
        let third = fill(&mut frames, caller(3));
        assert!(third > of_all / 3, "{third} of {of_all}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_had_its_share_sends_one_a_pause_and_large_ones_always() {
        let mut frames = account();
        fill(&mut frames, caller(1));
        for _ in 0..3 {
            assert_eq!(frames.ask(caller(1), 0, MIB), Ok(()));
            let next = frames.ask(caller(1), BYTE, MIB).expect_err("wait");
            sleep_until(next).await;
            assert_eq!(fill(&mut frames, caller(1)), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn large_frames_pay_for_small_ones() {
        let mut frames = account();
        let first = fill(&mut frames, caller(1));
        let large = 16 << 10;
        for _ in 0..100 {
            frames.passed(large, true);
        }
        assert_eq!(fill(&mut frames, caller(1)), 0, "the last of a stream does not");
        for _ in 0..100 {
            frames.passed(large, false);
        }
        assert_eq!(fill(&mut frames, caller(1)), first);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_window_as_it_is_does_not_count() {
        let mut frames = account();
        for _ in 0..10_000 {
            assert_eq!(frames.ask(caller(1), BYTE, INITIAL_WINDOW), Ok(()));
            frames.sent(caller(1), BYTE);
        }
        assert!(!frames.is_worn(INITIAL_WINDOW));
    }

    #[test]
    fn what_counts() {
        let counting = account();
        let costs = |frames: &UnreadFrames| {
            [(1, false), (255, false), (256, false), (1, true), (0, false)]
                .map(|(bytes, last)| frames.cost(bytes, last))
        };
        assert_eq!(costs(&counting), [255, 1, 0, 0, 0]);
        assert_eq!(costs(&UnreadFrames::default()), [0; 5], "most upstreams do not count");
    }
}
