//! The supervisor with real processes, which tell through a FIFO how they are.

use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::super::{Cause, Grace, State, Status};
use super::{Supervisor, SupervisorError};
use crate::limits::FLUENTD_MAX_WAITING;
use fifo::{Fifo, HUNG, in_time, shell};

mod fifo;

/// A grace that no test waits out.
const LONG: Duration = Duration::from_secs(200);

/// A grace that is over soon.
const SHORT: Duration = Duration::from_millis(100);

/// For a process that is expected to run.
const RUNS: Duration = Duration::from_millis(1);

/// Says who it is, and waits with a child of its own. Both hold the FIFO, as descriptor 3.
const PARENT: &str = r#"sleep 1000 & echo "$$ $!" >&3; wait"#;

/// As [`PARENT`], and both ignore SIGTERM.
const DEAF: &str = r#"trap "" TERM; sleep 1000 & echo "$$ $!" >&3; wait"#;

fn grace(duration: Duration) -> Grace {
    duration.try_into().unwrap()
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(pid.try_into().unwrap()).unwrap()
}

async fn until(supervisor: &Supervisor, is: impl FnMut(&Status) -> bool) -> Status {
    let mut status = supervisor.status.clone();
    in_time(status.wait_for(is)).await.unwrap().clone()
}

fn last_exit(status: &Status) -> (Cause, bool) {
    let exit = status.last_exit.unwrap();
    (exit.cause.unwrap(), exit.requested)
}

/// A supervisor that has started this script.
async fn running(script: &str) -> (Fifo, Supervisor) {
    let fifo = Fifo::new();
    let supervisor = Supervisor::with_settle(fifo.script(script), RUNS);
    start(&supervisor).await;
    (fifo, supervisor)
}

async fn start(supervisor: &Supervisor) -> Status {
    in_time(supervisor.start()).await.unwrap()
}

async fn stop(supervisor: &Supervisor, within: Duration) -> Status {
    in_time(supervisor.stop(grace(within))).await.unwrap()
}

/// A stop that can be spawned, and may fail.
async fn call_stop(supervisor: Supervisor, within: Duration) -> Result<Status, SupervisorError> {
    supervisor.stop(grace(within)).await
}

const TERMINATED: Cause = Cause::Signal(15);
const KILLED: Cause = Cause::Signal(9);

#[tokio::test]
async fn starts_tells_and_stops() {
    let mut fifo = Fifo::new();
    let supervisor = Supervisor::with_settle(fifo.script(PARENT), RUNS);
    assert_eq!(supervisor.status().state, State::Stopped);
    assert_eq!(supervisor.status().starts, 0);

    let status = start(&supervisor).await;
    let (parent, _) = fifo.pids().await;
    assert_eq!(status.state, State::Running { pid: parent });
    assert_eq!(status.starts, 1);
    assert!(status.uptime().is_some());
    assert_eq!(status.last_exit, None);
    assert_eq!(test_kill_process(pid(parent)), Ok(()));

    let status = stop(&supervisor, LONG).await;
    assert_eq!(status.state, State::Stopped);
    assert_eq!(last_exit(&status), (TERMINATED, true));
    assert!(status.started.is_some());
    assert_eq!(status.uptime(), None);
    assert_eq!(supervisor.status(), status);
    assert_eq!(test_kill_process(pid(parent)), Err(Errno::SRCH));
    fifo.all_gone().await;
}

#[tokio::test]
async fn nothing_is_done_twice() {
    let mut fifo = Fifo::new();
    let supervisor = Supervisor::with_settle(fifo.script(PARENT), RUNS);
    let never = stop(&supervisor, LONG).await;
    assert_eq!(never.state, State::Stopped);
    assert_eq!(never.last_exit, None);

    let both = async { tokio::join!(supervisor.start(), supervisor.start()) };
    let (one, two) = in_time(both).await;
    let running = start(&supervisor).await;
    assert_eq!(one.unwrap(), running);
    assert_eq!(two.unwrap(), running);
    assert_eq!(running.starts, 1);

    fifo.pids().await;
    let (one, two) = tokio::join!(stop(&supervisor, LONG), stop(&supervisor, LONG));
    assert_eq!(one, two);
}

#[tokio::test]
async fn restart_stops_and_starts() {
    let mut fifo = Fifo::new();
    let supervisor = Supervisor::with_settle(fifo.script(PARENT), RUNS);
    let first = in_time(supervisor.restart(grace(LONG))).await.unwrap();
    let (parent, _) = fifo.pids().await;
    assert_eq!(first.state, State::Running { pid: parent });
    assert_eq!(first.last_exit, None);

    let second = in_time(supervisor.restart(grace(LONG))).await.unwrap();
    assert_eq!(last_exit(&second), (TERMINATED, true));
    assert_eq!(second.starts, 2);
    assert_eq!(test_kill_process(pid(parent)), Err(Errno::SRCH));
    let (again, _) = fifo.pids().await;
    assert_eq!(second.state, State::Running { pid: again });
}

#[tokio::test]
async fn who_ignores_the_signal_is_killed() {
    let (mut fifo, supervisor) = running(DEAF).await;
    fifo.pids().await;
    let status = stop(&supervisor, SHORT).await;
    assert_eq!(status.state, State::Stopped);
    assert_eq!(last_exit(&status), (KILLED, true));
    fifo.all_gone().await;
}

#[tokio::test]
async fn a_deaf_child_is_killed_after_its_parent_ended() {
    let script = r#"(trap "" TERM; echo ready >&3; exec sleep 1000) & wait"#;
    let (mut fifo, supervisor) = running(script).await;
    assert_eq!(fifo.line().await, "ready");
    let status = stop(&supervisor, SHORT).await;
    assert_eq!(last_exit(&status), (TERMINATED, true));
    fifo.all_gone().await;
}

#[tokio::test]
async fn a_child_has_the_grace_also_after_its_parent_ended() {
    let child = r#"trap "" TERM; trap "kill -KILL \$!; exit" USR1; echo $$ >&3
        while :; do sleep 1000 & wait; done"#;
    let (mut fifo, supervisor) = running(&format!("sh -c '{child}' & wait")).await;
    let child = fifo.line().await.parse().unwrap();

    let stopped = tokio::spawn(call_stop(supervisor.clone(), LONG));
    let status = until(&supervisor, |status| status.last_exit.is_some()).await;
    assert!(matches!(status.state, State::Stopping { .. }));
    kill_process(pid(child), Signal::USR1).unwrap();
    let status = in_time(stopped).await.unwrap().unwrap();
    assert_eq!(status.state, State::Stopped);
    fifo.all_gone().await;
}

#[tokio::test]
async fn an_early_exit_is_told_by_start() {
    let supervisor = Supervisor::with_settle(shell("exit 3"), HUNG);
    let status = start(&supervisor).await;
    assert_eq!(status.state, State::Stopped);
    assert_eq!(last_exit(&status), (Cause::Code(3), false));
    assert_eq!(status.starts, 1);

    let again = start(&supervisor).await;
    assert_eq!(again.starts, 2);
}

#[tokio::test]
async fn an_end_by_itself_is_noticed_and_its_children_are_stopped() {
    let (mut fifo, supervisor) = running(PARENT).await;
    let (parent, _) = fifo.pids().await;
    kill_process(pid(parent), Signal::USR1).unwrap();
    fifo.all_gone().await;
    let status = until(&supervisor, |status| status.state == State::Stopped).await;
    let signal = Cause::Signal(Signal::USR1.as_raw());
    assert_eq!(last_exit(&status), (signal, false));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let supervisor = Supervisor::new("/nowhere/fluentd -c x".parse().unwrap());
    let error = in_time(supervisor.start()).await.unwrap_err();
    assert!(matches!(error, SupervisorError::Spawn { .. }));
    let told = error.to_string();
    assert!(told.starts_with("cannot start /nowhere/fluentd: No such file"), "{told}");
    let status = supervisor.status();
    assert_eq!((status.state, status.starts), (State::Stopped, 0));
}

#[tokio::test]
async fn a_long_stop_hides_nothing_and_can_be_shortened() {
    let (mut fifo, supervisor) = running(DEAF).await;
    let (parent, _) = fifo.pids().await;

    let patient = tokio::spawn(call_stop(supervisor.clone(), LONG));
    let stopping = State::Stopping { pid: parent };
    let status = until(&supervisor, |status| status.state == stopping).await;
    assert_eq!(supervisor.status().state, stopping);
    assert!(status.uptime().is_some());
    assert_eq!(test_kill_process(pid(parent)), Ok(()));

    let status = stop(&supervisor, Duration::ZERO).await;
    assert_eq!(last_exit(&status), (KILLED, true));
    assert_eq!(in_time(patient).await.unwrap().unwrap(), status);
}

#[tokio::test]
async fn a_start_waits_for_the_stop() {
    let (mut fifo, supervisor) = running(DEAF).await;
    let (parent, _) = fifo.pids().await;
    let both = async { tokio::join!(supervisor.stop(grace(SHORT)), supervisor.start()) };
    let (stopped, started) = in_time(both).await;
    assert_eq!(stopped.unwrap().state, State::Stopped);
    let started = started.unwrap();
    assert_eq!(started.starts, 2);
    assert_eq!(test_kill_process(pid(parent)), Err(Errno::SRCH));
    let (again, _) = fifo.pids().await;
    assert_eq!(started.state, State::Running { pid: again });
}

#[tokio::test]
async fn a_stop_takes_the_place_of_a_start() {
    let supervisor = Supervisor::with_settle(shell("sleep 1000"), HUNG);
    let both = async { tokio::join!(supervisor.start(), supervisor.stop(grace(LONG))) };
    let (started, stopped) = in_time(both).await;
    assert!(matches!(started, Err(SupervisorError::Superseded)));
    assert_eq!(stopped.unwrap().state, State::Stopped);
}

#[tokio::test]
async fn a_restart_goes_on_without_its_caller() {
    let (mut fifo, supervisor) = running(DEAF).await;
    let (parent, _) = fifo.pids().await;
    let handle = supervisor.clone();
    let caller = tokio::spawn(async move { handle.restart(grace(SHORT)).await });
    let stopping = State::Stopping { pid: parent };
    until(&supervisor, |status| status.state == stopping).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    let (again, _) = fifo.pids().await;
    let status = supervisor.status();
    assert_eq!(status.state, State::Running { pid: again });
    assert_eq!(last_exit(&status), (KILLED, true));
}

#[tokio::test]
async fn one_caller_too_many_is_obeyed_all_the_same() {
    let (mut fifo, supervisor) = running(DEAF).await;
    fifo.pids().await;
    // The runtime of this test has one thread, so they call in this order.
    let patient: Vec<_> = (0..FLUENTD_MAX_WAITING)
        .map(|_| tokio::spawn(call_stop(supervisor.clone(), LONG)))
        .collect();
    let too_many = tokio::spawn(call_stop(supervisor.clone(), Duration::ZERO));
    let outcome = in_time(too_many).await.unwrap();
    assert!(matches!(outcome, Err(SupervisorError::Busy)));
    for caller in patient {
        let status = in_time(caller).await.unwrap().unwrap();
        assert_eq!(last_exit(&status), (KILLED, true));
    }
}

#[tokio::test]
async fn shutdown_stops_for_good() {
    let (mut fifo, supervisor) = running(PARENT).await;
    fifo.pids().await;
    in_time(async { tokio::join!(supervisor.shutdown(), supervisor.shutdown()) }).await;
    assert_eq!(last_exit(&supervisor.status()), (TERMINATED, true));
    assert_eq!(supervisor.status().state, State::Stopped);
    fifo.all_gone().await;
    let refused = in_time(supervisor.start()).await;
    assert!(matches!(refused, Err(SupervisorError::Closed)));
}

#[tokio::test]
async fn the_last_handle_stops_it() {
    let (mut fifo, supervisor) = running(PARENT).await;
    fifo.pids().await;
    drop(supervisor);
    fifo.all_gone().await;
}

#[test]
fn the_end_of_the_runtime_kills_it() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let short_lived = runtime();
    let (mut fifo, supervisor) = short_lived.block_on(async {
        let (mut fifo, supervisor) = running(DEAF).await;
        fifo.pids().await;
        (fifo, supervisor)
    });
    drop(short_lived);
    runtime().block_on(fifo.all_gone());
    drop(supervisor);
}
