//! What a process holds in memory, and whether it works.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Between two looks: short enough to see a peak, and cheap.
const INTERVAL: Duration = Duration::from_millis(50);

/// Resident memory of a process in KiB; 0 if it is gone.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}

/// Waits until a process has next to nothing to do, or for `patience`.
pub(crate) async fn calm(pid: u32, patience: Duration) {
    // Long, so that a process that waits for its turn on a busy machine is not taken for an idle one.
    const STEP: Duration = Duration::from_secs(1);
    // Of the hundred that fit: Linux counts in hundredths of a second.
    const FEW: u64 = 2;
    let until = Instant::now() + patience;
    let mut before = cpu_ticks(pid);
    while Instant::now() < until {
        sleep(STEP).await;
        let now = cpu_ticks(pid);
        if now <= before + FEW {
            return;
        }
        before = now;
    }
}

/// Processor time that a process has used; 0 if it is gone.
fn cpu_ticks(pid: u32) -> u64 {
    // Fields 14 and 15; the second is the program's name in brackets, with whatever is in it.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// Watches for the most that a process holds.
pub(crate) struct Peak {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Peak {
    /// Watches, in a thread of its own, until dropped.
    pub(crate) fn of(pid: u32) -> Self {
        let (most, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let watcher = thread::spawn({
            let (most, stop) = (most.clone(), stop.clone());
            move || {
                while !stop.load(Ordering::Relaxed) {
                    most.fetch_max(resident_kib(pid), Ordering::Relaxed);
                    thread::sleep(INTERVAL);
                }
            }
        });
        Self { most, stop, watcher: Some(watcher) }
    }

    /// The most so far, in KiB.
    pub(crate) fn kib(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }
}

impl Drop for Peak {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            // It does nothing that could fail.
            let _ = watcher.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_works() {
        let (pid, before) = (std::process::id(), cpu_ticks(std::process::id()));
        assert!(resident_kib(pid) > 100);
        let until = Instant::now() + Duration::from_secs(10);
        while cpu_ticks(pid) == before {
            assert!(Instant::now() < until, "no work is seen");
        }
    }
}
