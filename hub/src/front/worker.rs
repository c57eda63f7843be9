//! One thread per core, one single-threaded runtime on each: a connection and all its calls stay on one.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{self, Handle};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::error;
use tunnel::service_manager;

use crate::context::hub::Hub;
use crate::context::origin::Origin;
use crate::front::connection;
use crate::limits::WORKER_QUEUE;

/// The threads. They end when this is dropped and their connections are over.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    /// Who comes first where several have as little to do.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct Worker {
    sockets: mpsc::Sender<(TcpStream, SocketAddr)>,
    /// Connections on this worker.
    load: Arc<AtomicUsize>,
    runtime: Handle,
    thread: JoinHandle<()>,
}

impl Workers {
    /// Starts as many as the configuration says.
    ///
    /// # Errors
    /// The system has no thread or no file descriptor left.
    pub(crate) fn start(hub: &Arc<Hub>) -> io::Result<Self> {
        let workers = (0..hub.config.workers.get()).map(|index| Worker::start(index, hub.clone()));
        let workers = workers.collect::<io::Result<_>>()?;
        Ok(Self { workers, turn: AtomicUsize::new(0) })
    }

    /// Connections on all of them.
    pub(crate) fn connections(&self) -> usize {
        self.workers.iter().map(|worker| worker.load.load(Ordering::Relaxed)).sum()
    }

    /// Hands a connection to the worker that has fewest; waits where even that one is behind. Of several
    /// that have as few it is each one's turn: calls prefer the sessions of their own worker, so clients that
    /// come one after the other would all be served by the same agent.
    pub(crate) async fn assign(&self, socket: TcpStream, peer: SocketAddr) {
        let (earlier, later) =
            self.workers.split_at(self.turn.fetch_add(1, Ordering::Relaxed) % self.workers.len());
        let load = |worker: &&Worker| worker.load.load(Ordering::Relaxed);
        let Some(worker) = later.iter().chain(earlier).min_by_key(load) else {
            return;
        };
        worker.load.fetch_add(1, Ordering::Relaxed);
        // Workers end after the listener only, so somebody is there to take it.
        let _ = worker.sockets.send((socket, peer)).await;
    }

    /// Their runtimes, for what does not come by the port.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        self.workers.iter().map(|worker| worker.runtime.clone()).collect()
    }

    /// Tells the service manager, where it asks, that all threads make progress, for as long as they do.
    pub(crate) fn watchdog(&self) -> impl Future<Output = ()> + use<> {
        let runtimes = self.runtimes();
        async move {
            let Some(limit) = service_manager::watchdog() else { return };
            loop {
                all_run(&runtimes).await;
                service_manager::alive();
                // As sd_watchdog_enabled(3) asks for.
                sleep(limit / 2).await;
            }
        }
    }

    /// Ends the threads, and cuts off what their connections still do.
    pub(crate) async fn join(self) {
        let threads: Vec<_> = self.workers.into_iter().map(|worker| worker.thread).collect();
        let joined = tokio::task::spawn_blocking(|| {
            for thread in threads {
                // A panic has been reported by its thread.
                let _ = thread.join();
            }
        });
        let _ = joined.await;
    }
}

impl Worker {
    fn start(index: usize, hub: Arc<Hub>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (sockets, incoming) = mpsc::channel(WORKER_QUEUE);
        let load = Arc::new(AtomicUsize::new(0));
        let handle = runtime.handle().clone();
        let run = run(incoming, load.clone(), index, hub);
        let thread = thread::Builder::new().name(format!("hub-worker-{index}"));
        let thread = thread.spawn(move || runtime.block_on(run))?;
        Ok(Self { sockets, load, runtime: handle, thread })
    }
}

async fn run(
    mut incoming: mpsc::Receiver<(TcpStream, SocketAddr)>,
    load: Arc<AtomicUsize>,
    worker: usize,
    hub: Arc<Hub>,
) {
    let stop = hub.stop.child();
    while let Some((socket, peer)) = incoming.recv().await {
        let loaded = Loaded(load.clone());
        let socket = match tokio::net::TcpStream::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => {
                error!(%peer, %error, "connection not taken");
                continue;
            }
        };
        let origin = Origin { hub: hub.clone(), peer, worker, sni: None, stop: stop.clone() };
        let connections = origin.hub.connections.clone();
        connections.spawn(async move {
            connection::serve(socket, origin).await;
            drop(loaded);
        });
    }
}

/// Resolves once each of them has had time for something new.
async fn all_run(runtimes: &[Handle]) {
    for runtime in runtimes {
        let _ = runtime.spawn(async {}).await;
    }
}

/// One connection's weight.
struct Loaded(Arc<AtomicUsize>);

impl Drop for Loaded {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// A thread whose runtime runs until the sender is dropped.
    fn thread() -> (Handle, tokio::sync::oneshot::Sender<()>) {
        let runtime = runtime::Builder::new_current_thread().build().expect("a runtime");
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        thread::spawn(move || runtime.block_on(stopped));
        (handle, stop)
    }

    #[tokio::test]
    async fn a_thread_that_is_stuck_is_not_alive() {
        let (threads, _stops): (Vec<_>, Vec<_>) = [thread(), thread()].into_iter().unzip();
        all_run(&threads).await;
        let (release, stuck) = mpsc::channel::<()>();
        threads[1].spawn(async move { stuck.recv() });
        let waits = timeout(Duration::from_millis(100), all_run(&threads)).await;
        waits.expect_err("one of them does nothing");
        drop(release);
        all_run(&threads).await;
    }
}
