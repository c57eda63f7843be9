//! Hubs that come and go at random, on an etcd that fails at random: what is known in the end is what there is, and no name has
//! two agents that were each promised to have it alone.

mod cases;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tunnel::name::Name;

use super::fake_etcd::{FakeEtcd, Health};
use super::*;
use crate::limits::{DIRECTORY_LEASE, DIRECTORY_TIMEOUT};
use crate::stop::Stop;

/// After so long with an etcd that is well, all know all: an old lease has ended, and every pause.
const SETTLED: Duration = Duration::from_secs(90);

/// So long a hub needs for what it has to say.
const BETWEEN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
enum Step {
    Join(u8),
    /// It takes itself out.
    Leave(u8),
    /// Its lease ends by itself.
    Crash(u8),
    BreakWatches,
    Compact,
    /// The etcd is like that for so many seconds. All agents of a hub go at its beginning.
    Sick(Health, u8, Option<u8>),
    /// For so many seconds what is to be written does not come, nor what this hub has to take back; it comes so many seconds
    /// later, after all connections were made anew, or on the same ones.
    Late(u8, u8, u8, bool),
    /// A hub's lease ends though it lives.
    Revoke(u8),
    /// Its own key is deleted though its lease lives.
    Delete(u8),
    /// At this hub, one of two agents wants a name for itself.
    Claim(u8, u8, u8),
    /// All agents of a hub go.
    Empty(u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u8).prop_map(Step::Join),
        1 => (0..4_u8).prop_map(Step::Leave),
        1 => (0..4_u8).prop_map(Step::Crash),
        1 => Just(Step::BreakWatches),
        1 => Just(Step::Compact),
        1 => sick(Health::Away, 40),
        1 => sick(Health::Silent, 40),
        1 => sick(Health::Unheard, 20),
        1 => (0..4_u8, 1..12_u8, 0..20_u8, any::<bool>())
            .prop_map(|(hub, lasts, after, anew)| Step::Late(hub, lasts, after, anew)),
        1 => (0..4_u8).prop_map(Step::Revoke),
        1 => (0..4_u8).prop_map(Step::Delete),
        5 => (0..4_u8, 0..2_u8, 0..2_u8).prop_map(|(hub, name, who)| Step::Claim(hub, name, who)),
        1 => (0..4_u8).prop_map(Step::Empty),
        3 => (0..20_u8).prop_map(Step::Wait),
    ]
}

fn sick(health: Health, less_than: u8) -> impl Strategy<Value = Step> {
    (1..less_than, prop::option::of(0..4_u8))
        .prop_map(move |(seconds, left)| Step::Sick(health, seconds, left))
}

/// A hub, as far as the directory knows one.
struct SimHub {
    node: String,
    stop: Stop,
    claims: Arc<Claims>,
    nodes: watch::Receiver<Nodes>,
    running: JoinHandle<()>,
    /// Sessions of agents that have names for themselves.
    sessions: Vec<(Name, String, Claim)>,
}

fn address(at: u8) -> PeerAddr {
    format!("hub-{at}:1").parse().expect("an address")
}

impl SimHub {
    fn start(at: u8, born: usize, etcd: &FakeEtcd) -> Self {
        let (node, stop, claims) = (format!("{born}-of-{at}"), Stop::default(), Arc::default());
        let (nodes, told) = watch::channel(Nodes::new());
        let uri = "etcd://one,two".parse().expect("a directory");
        let directory = Directory { uri, address: address(at), tls: None, user_file: None };
        let member = Member {
            node: node.clone(),
            stop: stop.clone(),
            heard: Arc::default(),
            claims: Arc::clone(&claims),
            nodes,
        };
        let (etcd, dialled) = (etcd.clone(), Arc::new(directory.clone()));
        let running = tokio::spawn(async move {
            let dial = move |_: PeerAddr| {
                let (etcd, directory) = (etcd.clone(), dialled.clone());
                Box::pin(async move {
                    let connection = timeout(DIRECTORY_TIMEOUT, etcd.connection()).await;
                    let connection = connection.ok().flatten().ok_or(EtcdError::Timeout)?;
                    Etcd::on(connection, &directory).await
                }) as Pin<Box<_>>
            };
            run_by(&directory, member, &dial).await;
        });
        Self { node, stop, claims, nodes: told, running, sessions: Vec::new() }
    }

    async fn claim(&mut self, name: u8, who: u8) {
        let name: Name = format!("name-{name}").parse().expect("a name");
        let who = format!("agent-{who}");
        // As the registry does, which knows the agents of its own hub.
        if self.sessions.iter().any(|(other, held_by, _)| *other == name && *held_by != who) {
            return;
        }
        if let Ok(claim) = self.claims.claim(&name, &who).await {
            self.sessions.push((name, who, claim));
        }
    }
}

struct Model {
    etcd: FakeEtcd,
    hubs: BTreeMap<u8, SimHub>,
    born: usize,
    /// No lease has ended that its hub still relied on.
    leases_held: bool,
}

impl Model {
    fn new() -> Self {
        Self { etcd: FakeEtcd::start(), hubs: BTreeMap::new(), born: 0, leases_held: true }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Join(at) if !self.hubs.contains_key(&at) => {
                self.born += 1;
                self.hubs.insert(at, SimHub::start(at, self.born, &self.etcd));
            }
            Step::Leave(at) => {
                if let Some(hub) = self.hubs.remove(&at) {
                    hub.stop.begin_moving();
                    hub.running.await.expect("no panic");
                }
            }
            Step::Crash(at) => {
                if let Some(hub) = self.hubs.remove(&at) {
                    hub.running.abort();
                }
            }
            Step::BreakWatches => self.etcd.break_watches(),
            Step::Compact => self.etcd.compact(),
            Step::Sick(health, seconds, left) => self.sick(health, seconds, left).await,
            Step::Late(at, lasts, after, anew) => self.late(at, lasts, after, anew).await,
            Step::Revoke(at) => {
                if let Some(hub) = self.hubs.get(&at) {
                    self.leases_held = false;
                    self.etcd.revoke(&hub.node);
                }
            }
            Step::Delete(at) => {
                if let Some(hub) = self.hubs.get(&at) {
                    self.etcd.delete(&hub.node);
                }
            }
            Step::Claim(at, name, who) => {
                if let Some(hub) = self.hubs.get_mut(&at) {
                    hub.claim(name, who).await;
                }
            }
            Step::Empty(at) => {
                if let Some(hub) = self.hubs.get_mut(&at) {
                    hub.sessions.clear();
                }
            }
            Step::Wait(seconds) => sleep(Duration::from_secs(seconds.into())).await,
            Step::Join(_) => {}
        }
    }

    async fn sick(&mut self, health: Health, seconds: u8, left: Option<u8>) {
        let lasts = Duration::from_secs(seconds.into());
        // A lease is kept each fifth of its time.
        self.leases_held &= lasts < DIRECTORY_LEASE * 3 / 4;
        self.etcd.set_health(health);
        if let Some(hub) = left.and_then(|at| self.hubs.get_mut(&at)) {
            hub.sessions.clear();
            sleep(BETWEEN).await;
        }
        self.sick_for(lasts).await;
        self.etcd.set_health(Health::Well);
    }

    async fn late(&mut self, at: u8, lasts: u8, after: u8, anew: bool) {
        self.etcd.set_health(Health::Late);
        if let Some(hub) = self.hubs.get_mut(&at) {
            hub.sessions.clear();
        }
        self.sick_for(Duration::from_secs(lasts.into())).await;
        if anew {
            self.etcd.set_health(Health::Away);
            sleep(Duration::from_secs(1)).await;
        }
        self.etcd.set_health(Health::Well);
        sleep(Duration::from_secs(after.into())).await;
        // Who has come back has what it had.
        if let Some(hub) = self.hubs.get_mut(&at) {
            hub.claim(at % 2, at / 2).await;
        }
        self.etcd.late_arrives();
    }

    /// At each hub an agent wants a name meanwhile, and wants it once more, as agents do.
    async fn sick_for(&mut self, lasts: Duration) {
        let end = Instant::now() + lasts;
        let wants = self.hubs.iter_mut().map(|(at, hub)| async move {
            for _ in 0..2 {
                let _ = timeout_at(end, hub.claim(at % 2, at / 2)).await;
            }
        });
        join_all(wants).await;
        sleep_until(end).await;
    }

    /// What holds at any moment.
    fn check(&self) {
        let mut written: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, who) in self.etcd.written("/grpc-hub/owners/") {
            let (name, _) = key.split_once('/').expect("a name and a hub");
            written.entry(name.to_owned()).or_default().insert(who);
        }
        assert!(written.values().all(|of_name| of_name.len() == 1), "{written:?}");
        if self.leases_held {
            let held = self.held();
            assert!(held.values().all(|of_name| of_name.len() == 1), "{held:?}");
        }
    }

    /// Agents that were promised a name for themselves, by name.
    fn held(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut held: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (name, who, _) in self.hubs.values().flat_map(|hub| &hub.sessions) {
            held.entry(name.to_string()).or_default().insert(who.clone());
        }
        held
    }

    /// What holds in the end.
    fn check_settled(&self) {
        self.check();
        let there: Nodes = self.hubs.keys().map(|at| address(*at)).collect();
        for (at, hub) in &self.hubs {
            assert_eq!(*hub.nodes.borrow(), there, "hub {at}");
        }
        let mut ids: Vec<_> = self.hubs.values().map(|hub| hub.node.clone()).collect();
        ids.sort();
        let nodes: Vec<_> =
            self.etcd.written("/grpc-hub/nodes/").into_iter().map(|(node, _)| node).collect();
        assert_eq!(nodes, ids);
        let held = self.held();
        let written = self.etcd.written("/grpc-hub/owners/");
        let names: BTreeSet<_> =
            written.iter().filter_map(|(key, _)| Some(key.split_once('/')?.0.to_owned())).collect();
        assert!(names.iter().eq(held.keys()), "{written:?} {held:?}");
        for (key, who) in written {
            let (name, node) = key.split_once('/').expect("a name and a hub");
            let hub = self.hubs.values().find(|hub| hub.node == node).expect("a hub");
            let is_it =
                |session: &&(Name, String, Claim)| session.0.as_str() == name && session.1 == who;
            assert!(hub.sessions.iter().any(|session| is_it(&session)), "{key} {who}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn hubs_agree_with_what_there_is(steps in prop::collection::vec(step(), 1..40)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(async {
            let mut model = Model::new();
            for step in steps {
                model.step(step).await;
                sleep(BETWEEN).await;
                model.check();
            }
            sleep(SETTLED).await;
            model.check_settled();
        });
    }
}
