//! One way of a connection.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::orders::{Rules, Way};

/// Pieces that are on their way at most.
const ON_THE_WAY: usize = 4096;
/// Bytes of the largest.
const PIECE: usize = 64 << 10;
/// Where a rate is bounded, what comes at once is so much of a second.
const SHARE_OF_A_SECOND: u64 = 100;

/// What goes one way.
pub(crate) struct Pipe {
    way: Way,
    rules: watch::Receiver<Rules>,
    /// How often this way had been ended when it began.
    ends: u64,
}

impl Pipe {
    /// As the rules are from now on.
    pub(crate) fn new(way: Way, rules: watch::Receiver<Rules>) -> Self {
        let ends = rules.borrow().ends(way);
        Self { way, rules, ends }
    }

    /// Hands on what comes, to its end.
    pub(crate) async fn carry(
        self,
        from: impl AsyncRead + Unpin,
        to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let (leave, arrive) = mpsc::channel(ON_THE_WAY);
        let other = Self { way: self.way, rules: self.rules.clone(), ends: self.ends };
        tokio::try_join!(self.leave(from, leave), other.arrive(arrive, to))?;
        Ok(())
    }

    /// Reads, unless nothing is to be read, and no faster than the rate.
    async fn leave(
        mut self,
        mut from: impl AsyncRead + Unpin,
        pieces: mpsc::Sender<(Instant, Bytes)>,
    ) -> io::Result<()> {
        let (mut space, mut next) = (BytesMut::new(), Instant::now());
        loop {
            self.until_not_silent().await;
            until(next).await;
            let rate = self.rules.borrow().rate;
            let most = rate.map_or(PIECE, |rate| (rate / SHARE_OF_A_SECOND).max(1) as usize);
            space.reserve(most.min(PIECE));
            let way = self.way;
            let mut bounded = (&mut from).take(most as u64);
            let read = tokio::select! {
                read = bounded.read_buf(&mut space) => read?,
                _ = self.rules.wait_for(|rules| rules.is_silent(way)) => continue,
            };
            let now = Instant::now();
            let took = rate.map(|rate| Duration::from_secs_f64(read as f64 / rate as f64));
            next = next.max(now) + took.unwrap_or_default();
            let due = now + self.rules.borrow().latency;
            let sent = pieces.send((due, space.split().freeze())).await;
            if read == 0 || sent.is_err() {
                return Ok(());
            }
        }
    }

    /// Writes what has come, when it is due and may be. Once this way was ended, what still comes is lost.
    async fn arrive(
        mut self,
        mut pieces: mpsc::Receiver<(Instant, Bytes)>,
        mut to: impl AsyncWrite + Unpin,
    ) -> io::Result<()> {
        let (way, ends) = (self.way, self.ends);
        let mut ended = self.rules.clone();
        let ended = async move { ended.wait_for(|rules| rules.ends(way) > ends).await.is_ok() };
        tokio::select! {
            done = self.write(&mut pieces, &mut to) => return done,
            true = ended => {}
        }
        // Its reader may be gone already.
        let _ = to.shutdown().await;
        while pieces.recv().await.is_some() {}
        Ok(())
    }

    async fn write(
        &mut self,
        pieces: &mut mpsc::Receiver<(Instant, Bytes)>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        while let Some((due, mut piece)) = pieces.recv().await {
            until(due).await;
            while !piece.is_empty() {
                self.until_not_silent().await;
                let most = self.rules.borrow().slice.unwrap_or(usize::MAX);
                to.write_all(&piece.split_to(most.min(piece.len()))).await?;
            }
        }
        self.until_not_silent().await;
        to.shutdown().await
    }

    async fn until_not_silent(&mut self) {
        let way = self.way;
        // Fails only when nobody is left to give orders.
        let _ = self.rules.wait_for(|rules| !rules.is_silent(way)).await;
    }
}

/// Not at all if it is past: tokio's clock would sleep for a millisecond.
async fn until(due: Instant) {
    if due > Instant::now() {
        sleep_until(due).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Long for whoever waits for what does not come.
    const LONG: Duration = Duration::from_secs(3600);

    /// A pipe, with its two ends and who gives orders.
    struct Bench {
        near: DuplexStream,
        far: DuplexStream,
        orders: watch::Sender<Rules>,
    }

    impl Bench {
        fn new(orders: &[&str]) -> Self {
            let (near, from) = duplex(1 << 20);
            let (to, far) = duplex(1 << 20);
            let (sender, rules) = watch::channel(Rules::default());
            let bench = Self { near, far, orders: sender };
            orders.iter().for_each(|order| bench.order(order));
            tokio::spawn(Pipe::new(Way::Up, rules).carry(from, to));
            bench
        }

        fn order(&self, line: &str) {
            self.orders.send_modify(|rules| rules.obey(line).unwrap());
        }

        async fn says(&mut self, text: &str) {
            self.near.write_all(text.as_bytes()).await.unwrap();
        }

        async fn hears(&mut self) -> String {
            let mut heard = [0; 64];
            let read = timeout(LONG, self.far.read(&mut heard)).await.unwrap().unwrap();
            String::from_utf8_lossy(&heard[..read]).into_owned()
        }

        async fn hears_nothing(&mut self) {
            assert!(timeout(LONG, self.far.read_u8()).await.is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_and_the_end_pass() {
        let mut bench = Bench::new(&[]);
        bench.says("one").await;
        assert_eq!(bench.hears().await, "one");
        bench.near.shutdown().await.unwrap();
        assert_eq!(bench.hears().await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_swallowed_comes_once_it_may_pass_even_the_end() {
        let mut bench = Bench::new(&[]);
        bench.says("one").await;
        assert_eq!(bench.hears().await, "one");
        bench.order("blackhole up");
        bench.says("two").await;
        bench.near.shutdown().await.unwrap();
        bench.hears_nothing().await;
        bench.order("pass");
        assert_eq!((bench.hears().await, bench.hears().await), ("two".into(), String::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn one_way_knows_nothing_of_the_other() {
        let mut bench = Bench::new(&["blackhole down", "half-close down"]);
        bench.says("one").await;
        assert_eq!(bench.hears().await, "one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_was_ended_takes_everything_and_hands_on_nothing() {
        let mut bench = Bench::new(&[]);
        bench.says("one").await;
        assert_eq!(bench.hears().await, "one");
        bench.order("half-close up");
        assert_eq!(bench.hears().await, "");
        for _ in 0..3 {
            bench.says(&"x".repeat(1 << 19)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slices_come_one_by_one() {
        let (near, mut sliced) = (duplex(1 << 20), duplex(2));
        let (_orders, rules) = watch::channel({
            let mut rules = Rules::default();
            rules.obey("slice 1").unwrap();
            rules
        });
        tokio::spawn(Pipe::new(Way::Up, rules).carry(near.1, sliced.0));
        let mut sender = near.0;
        sender.write_all(b"abc").await.unwrap();
        for expected in *b"abc" {
            assert_eq!(sliced.1.read_u8().await.unwrap(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn latency_delays_all_alike_and_rate_what_comes_after() {
        let mut bench = Bench::new(&["latency 50ms"]);
        let start = Instant::now();
        bench.says("one").await;
        sleep(Duration::from_millis(10)).await;
        bench.says("two").await;
        assert_eq!((bench.hears().await, start.elapsed().as_millis()), ("one".into(), 50));
        assert_eq!((bench.hears().await, start.elapsed().as_millis()), ("two".into(), 60));

        let mut bench = Bench::new(&["rate 1000"]);
        let start = Instant::now();
        bench.says(&"x".repeat(200)).await;
        let mut heard = 0;
        while heard < 200 {
            heard += bench.hears().await.len();
        }
        assert!((180..=220).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    }
}
