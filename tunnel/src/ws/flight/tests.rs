//! A link that is drawn in time: it carries so many bytes a millisecond, and what is too much stands before it.

use tokio::time::advance;

use super::*;

/// Long enough for everything to come to rest.
const SECOND: u64 = 1000;
const MESSAGE: usize = LANE_DATA_MAX;
const TICK: Duration = Duration::from_millis(1);

/// What is on the link.
#[derive(Debug)]
enum Sent {
    Message(usize),
    Ping(Bytes),
}

#[derive(Debug)]
struct Link {
    flight: Flight,
    /// Bytes a millisecond, and milliseconds to the peer and back.
    rate: usize,
    length: u64,
    /// Milliseconds that something else's queue takes.
    others: u64,
    /// Whoever reads several pings at once answers the newest.
    merges: bool,
    queue: VecDeque<Sent>,
    credit: usize,
    /// Answers, by when they come.
    answers: VecDeque<(Instant, Bytes)>,
    carried: usize,
    longest: usize,
    pings: usize,
}

impl Link {
    async fn new(rate: usize, length: u64) -> Self {
        let mut link = Self {
            flight: Flight::probing_since(Instant::now()),
            rate,
            length,
            others: 0,
            merges: false,
            queue: VecDeque::new(),
            credit: 0,
            answers: VecDeque::new(),
            carried: 0,
            longest: 0,
            pings: 0,
        };
        link.ping();
        link.run(length + 1, 0).await;
        link
    }

    fn ping(&mut self) {
        let payload = self.flight.ping();
        self.queue.push_back(Sent::Ping(payload));
        self.pings += 1;
    }

    fn queued(&self) -> usize {
        let bytes = |sent: &Sent| if let Sent::Message(bytes) = sent { *bytes } else { 0 };
        self.queue.iter().map(bytes).sum()
    }

    /// Sends as much as may be for so long, though no more than `most` stand in the queue; pings each 250 ms besides.
    async fn run(&mut self, millis: u64, most: usize) {
        (self.carried, self.longest) = (0, 0);
        for at in 0..millis {
            while most > 0 && self.queued() < most {
                if self.flight.wants_ping() {
                    self.ping();
                }
                if !self.flight.has_room() {
                    break;
                }
                self.flight.sent(MESSAGE);
                self.queue.push_back(Sent::Message(MESSAGE));
            }
            if at % 250 == 249 && self.flight.is_answered() {
                self.ping();
            }
            self.tick().await;
            self.longest = self.longest.max(self.queued());
        }
    }

    async fn tick(&mut self) {
        self.credit += self.rate;
        let answered = self.answers.len();
        while let Some(sent) = self.queue.front_mut() {
            match sent {
                Sent::Message(left) if *left > self.credit => {
                    *left -= self.credit;
                    self.carried += std::mem::take(&mut self.credit);
                    break;
                }
                Sent::Message(left) => {
                    self.credit -= *left;
                    self.carried += *left;
                }
                Sent::Ping(payload) => {
                    let comes = Instant::now() + TICK * (self.length + self.others) as u32;
                    if self.merges {
                        self.answers.truncate(answered);
                    }
                    self.answers.push_back((comes, payload.clone()));
                }
            }
            self.queue.pop_front();
        }
        if self.queue.is_empty() {
            self.credit = 0;
        }
        advance(TICK).await;
        while let Some((_, payload)) = self.answers.pop_front_if(|(at, _)| *at <= Instant::now()) {
            self.flight.answered(&payload);
        }
    }

    /// How much of what the link can carry it has carried in so long.
    fn used(&self, millis: u64) -> f64 {
        self.carried as f64 / (self.rate * millis as usize) as f64
    }

    /// How long what stands in the queue at most has to wait, in milliseconds.
    fn waits(&self) -> usize {
        self.longest / self.rate
    }
}

/// How long what is sent should stand before a link at most, in milliseconds: the queue that is meant, a message more than
/// the window, the other one that is always allowed, and half as much again for a moment.
fn may_wait(rate: usize, length: u64) -> usize {
    (10 + length as usize / 4 + 2 * MESSAGE / rate) * 3 / 2 + 2
}

/// More than stands in any queue here.
const ALL: usize = 4 << 20;

#[tokio::test(start_paused = true)]
async fn on_a_thin_link_the_queue_is_short_and_never_empty_for_long() {
    for (rate, length) in [(2500, 2), (2500, 100), (12_500, 10), (12_500, 40)] {
        let mut link = Link::new(rate, length).await;
        // As much as a modem of 50 ms takes, until it is noticed.
        link.run(SECOND, rate * 50).await;
        link.run(20 * SECOND, rate * 50).await;
        let (used, waits) = (link.used(20 * SECOND), link.waits());
        let may_wait = may_wait(rate, length);
        assert!(used > 0.93, "{rate} {length}: {used}");
        assert!(waits <= may_wait, "{rate} {length}: {waits} of {may_wait} ms");
        assert!(link.pings < 21 * (rate * 1000) / MESSAGE + 100, "no more pings than messages");
    }
}

#[tokio::test(start_paused = true)]
async fn it_follows_a_link_that_changes() {
    let mut link = Link::new(2500, 20).await;
    link.run(2 * SECOND, 2500 * 50).await;
    link.rate = 25_000;
    link.run(SECOND, ALL).await;
    link.run(SECOND, ALL).await;
    assert!(link.used(SECOND) > 0.9, "wider: {}", link.used(SECOND));
    link.rate = 2500;
    link.run(4 * SECOND, ALL).await;
    link.run(SECOND, ALL).await;
    assert!(link.waits() <= may_wait(2500, 20), "thinner: {}", link.waits());
    link.length = 120;
    link.run(4 * SECOND, ALL).await;
    link.run(6 * SECOND, ALL).await;
    assert!(link.used(6 * SECOND) > 0.95, "longer: {}", link.used(6 * SECOND));
    link.length = 20;
    link.run(20 * SECOND, ALL).await;
    link.run(SECOND, ALL).await;
    assert!(link.waits() <= may_wait(2500, 20) + 20, "shorter: {}", link.waits());
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_others_is_part_of_the_link() {
    let mut link = Link::new(2500, 20).await;
    link.run(2 * SECOND, 2500 * 50).await;
    link.others = 80;
    link.run(7 * SECOND, ALL).await;
    link.run(SECOND, ALL).await;
    assert!(link.used(SECOND) > 0.9, "it is not starved: {}", link.used(SECOND));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_held_where_no_queue_forms() {
    let mut link = Link::new(1 << 20, 5).await;
    link.run(5 * SECOND, 1 << 20).await;
    assert!(link.flight.hold.is_none() && link.flight.has_room());
    assert!(link.pings <= 1 + 4 * 5, "a ping each 250 ms: {}", link.pings);
    // Little is sent, and the machine is busy.
    let mut flight = Flight::probing_since(Instant::now());
    for took in [1, 300] {
        let ping = flight.ping();
        flight.sent(HELD_LEAST as usize - 1);
        advance(TICK * took).await;
        assert!(flight.answered(&ping).is_some());
    }
    assert!(flight.hold.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_ping_answers_those_before_it_and_nobody_answers_twice() {
    let mut flight = Flight::probing_since(Instant::now());
    assert!(flight.is_answered());
    let pings = [(); 3].map(|()| flight.ping());
    advance(TICK * 70).await;
    assert_eq!(flight.answered(b"unasked"), None);
    assert_eq!(flight.answered(&pings[1]), Some(TICK * 70));
    assert_eq!((flight.answered(&pings[0]), flight.answered(&pings[1])), (None, None));
    assert!(!flight.is_answered());
    assert_eq!(flight.answered(&pings[2]), Some(TICK * 70));
    assert!(flight.is_answered());
    // Nobody answers.
    let unanswered = [(); 2 * HELD_PINGS].map(|()| flight.ping());
    assert_eq!(flight.pings.len(), HELD_PINGS);
    assert_eq!(flight.answered(&unanswered[0]), None);
    assert!(flight.answered(&unanswered[HELD_PINGS]).is_some());
}

#[tokio::test(start_paused = true)]
async fn whoever_is_held_always_hears_of_the_last_byte() {
    let mut link = Link::new(2500, 2).await;
    link.run(SECOND, 2500 * 50).await;
    assert!(link.flight.hold.is_some());
    // Small messages, none of which is worth a ping.
    for _ in 0..20_000 {
        while link.flight.has_room() {
            link.flight.sent(100);
            link.queue.push_back(Sent::Message(100));
        }
        if link.flight.wants_ping() {
            link.ping();
        }
        assert!(!link.flight.is_answered(), "something must tell");
        assert!(link.flight.pings.len() <= HELD_PINGS);
        link.tick().await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_answers_the_newest_of_several_pings_tells_how_long_the_link_is() {
    let mut link = Link::new(100_000, 10).await;
    link.merges = true;
    link.run(2 * SECOND, 100_000 * 50).await;
    link.length = 60;
    link.run(7 * SECOND, 4 * ALL).await;
    link.run(4 * SECOND, 4 * ALL).await;
    assert!(link.used(4 * SECOND) > 0.9, "{}", link.used(4 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_was_held_up_makes_no_link_long() {
    let base = TICK * 20;
    let mut hold = Hold::begin(1 << 20, TICK * 100, base, 0, Instant::now()).expect("a queue");
    hold.probed(TICK * 1000, Instant::now());
    assert_eq!((hold.base, hold.probe_at), (base, Instant::now()));
    hold.probed(TICK * 22, Instant::now());
    assert_eq!(hold.base, TICK * 22);
    for took in [120, 100] {
        hold.probed(TICK * took, Instant::now());
    }
    assert_eq!(hold.base, TICK * 100, "told twice");
    hold.probed(TICK * 5, Instant::now());
    assert_eq!(hold.base, TICK * 5);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_held_for_ever() {
    let mut link = Link::new(2500, 2).await;
    link.run(SECOND, 2500 * 50).await;
    assert!(link.flight.hold.is_some());
    link.run(HELD_FORGOTTEN.as_millis() as u64 + 2 * SECOND, 0).await;
    assert!(link.flight.hold.is_none());
}
