//! An agent on a runtime of its own, so that it can vanish as a killed process does.

use std::net::SocketAddr;

use agent::{Config, Exposed, Upstream};
use tokio::runtime::{self, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::hub::Hub;
use super::{NAME, within};

/// A running agent; it ends with the test at the latest.
pub(crate) struct Agent {
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
    running: Option<JoinHandle<()>>,
}

/// An agent of [`NAME`] with one session.
pub(crate) fn config(hub: &Hub, upstream: Upstream) -> Config {
    exposing(hub, exposed(upstream))
}

/// The same of what is said of its upstream.
pub(crate) fn exposing(hub: &Hub, exposed: Exposed) -> Config {
    Config { sessions: Some(1), ..Config::new(exposed, hub.uri()) }
}

/// What is behind [`NAME`].
pub(crate) fn exposed(upstream: Upstream) -> Exposed {
    Exposed::new(NAME.parse().unwrap(), upstream)
}

/// A server at a TCP address.
pub(crate) fn server(address: SocketAddr) -> Upstream {
    Upstream::Server(address.to_string().parse().unwrap())
}

impl Agent {
    pub(crate) fn start(config: Config) -> Self {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = runtime.spawn(async {
            agent::run(config, async { drop(stopped.await) })
                .await
                .expect("a usable configuration");
        });
        Self { runtime: Some(runtime), stop: Some(stop), running: Some(running) }
    }

    /// Asks it to stop.
    pub(crate) fn drain(&mut self) {
        self.stop.take();
    }

    /// Waits until it has stopped.
    pub(crate) async fn ended(&mut self) {
        let running = self.running.take().expect("waited for once");
        within("the agent to stop", running).await.expect("no panic");
    }

    /// Ends it as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.kill();
    }
}
