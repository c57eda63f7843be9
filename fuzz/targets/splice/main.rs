//! A hub between a hostile client and a hostile agent: whatever they send, it stays up, everybody else is
//! served, calls end, and nothing is left behind when the two are gone.
//!
//! Input: a script (`script.rs`), such as `h10.H10D12t1`.
#![no_main]

mod frames;
mod peer;
mod script;
mod world;

use hub::fuzzing::Hub;
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Duration, sleep, timeout};

use frames::frame;
use peer::Peer;
use script::{Script, Side, Step};
use world::{HONEST, HOSTILE, World};

/// Steps of one script: more only take longer.
const STEPS_MAX: usize = 256;
/// Longer than an honest call takes, and all that the hub does for peers that are gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// How h2 says that a stream was reset without an error.
const NO_ERROR: &str = "not a result of an error";

thread_local! {
    /// One for all scripts, for it takes longer to make than a script to play: a hub keeps nothing but
    /// counters and the names that it has seen.
    static HUB: Hub = Hub::new(hub::Config::default());
}

fuzz_target!(|script: &[u8]| {
    let hub = HUB.with(Hub::clone);
    fuzz::run(play(script, hub.clone()));
    hub.upkeep();
});

async fn play(script: &[u8], hub: Hub) {
    let world = World::start(hub).await;
    let tasks = alive();
    let (mut harmed, mut unharmed) = (JoinSet::new(), JoinSet::new());
    let mut hostile = Hostile::start(&world).await;
    for step in Script::new(script).take(STEPS_MAX) {
        match step {
            Step::Call(HOSTILE) => drop(harmed.spawn(world.call(HOSTILE))),
            Step::Call(honest) => drop(unharmed.spawn(world.call(honest))),
            step => hostile.take(step).await,
        }
    }
    unharmed.spawn(world.call(HONEST));
    for status in within("calls of the honest", unharmed.join_all()).await {
        assert_eq!(status, "0", "a bystander is not served");
    }
    drop(hostile);
    for status in within("the end of calls to the hostile agent", harmed.join_all()).await {
        // Some clients take it for the answer's end, and do not see that it is cut short.
        assert!(!status.contains(NO_ERROR), "a call is reset with NO_ERROR");
    }
    let ended = async {
        while alive() > tasks {
            sleep(Duration::from_secs(1)).await;
        }
    };
    within("the end of what the hub did for the hostile", ended).await;
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

fn alive() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// The two of them.
struct Hostile {
    client: Peer,
    agent: Peer,
}

impl Hostile {
    async fn start(world: &World) -> Self {
        let settings = frame(frames::SETTINGS, 0, 0, &[]);
        let mut agent = world.register(HOSTILE).await;
        // Until the hub has opened its first lane.
        sleep(Duration::from_millis(1)).await;
        agent.say(&frames::on_lane(&settings)).await;
        let client = Peer::new(world.connect(), &[frames::PREFACE, &settings].concat()).await;
        let mut hostile = Self { client, agent };
        hostile.pause(Duration::from_millis(1)).await;
        // The hub's own settings, its windows among them, count from here on.
        let ack = frame(frames::SETTINGS, frames::ACK, 0, &[]);
        hostile.client.say(&ack).await;
        hostile.agent.say(&frames::on_lane(&ack)).await;
        hostile
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Say(Side::Client, bytes) => self.client.say(&bytes).await,
            Step::Say(Side::Agent, bytes) => {
                self.agent.say(&frames::on_lane(&bytes)).await;
            }
            Step::Aside(bytes) => self.agent.say(&bytes).await,
            Step::Pause(time) => self.pause(time).await,
            Step::Deafen(side) => self.peer(side).deafen(),
            Step::HangUp(side) => self.peer(side).hang_up(),
            Step::Call(_) => {}
        }
    }

    fn peer(&mut self, side: Side) -> &mut Peer {
        match side {
            Side::Client => &mut self.client,
            Side::Agent => &mut self.agent,
        }
    }

    async fn pause(&mut self, time: Duration) {
        self.client.listen().await;
        self.agent.listen().await;
        sleep(time).await;
        self.client.listen().await;
        self.agent.listen().await;
    }
}
