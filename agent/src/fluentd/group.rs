//! A process group: a process with everything that it forked.

use std::fs;

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, kill_process_group, test_kill_process_group, waitpgid,
};

/// The group that a child of ours leads. Its id is the leader's process id, and the kernel gives that
/// id to nobody else while the group has a member, so a signal cannot hit a stranger.
#[derive(Debug)]
pub(super) struct Group {
    id: Pid,
    /// A member that was alive when it was looked for. While it is, nobody else has to be looked for.
    witness: Option<Pid>,
}

impl Group {
    /// The group that the process with this id leads. `None` if no process can have the id.
    pub(super) fn led_by(pid: u32) -> Option<Self> {
        let id = Pid::from_raw(i32::try_from(pid).ok()?)?;
        Some(Self { id, witness: None })
    }

    /// The leader's process id, which stays the group's after the leader has ended.
    pub(super) fn id(&self) -> u32 {
        self.id.as_raw_pid().unsigned_abs()
    }

    /// Asks every member to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends every member.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Whether everybody has ended. Only to be asked once the leader itself was waited for: this takes
    /// the exits of other members, and the leader's belongs to whoever started it.
    pub(super) fn is_empty(&mut self) -> bool {
        if test_kill_process_group(self.id) == Err(Errno::SRCH) {
            return true;
        }
        let witness = self.witness.filter(|pid| is_alive(*pid, self.id));
        self.witness = witness.or_else(|| living_member(self.id));
        if self.witness.is_none() {
            // Who was forked while the list was read may have been missed.
            self.kill();
            self.reap_adopted();
        }
        self.witness.is_none()
    }

    /// Where the agent is the first process of a container, orphans become its children, and nobody
    /// else waits for them.
    fn reap_adopted(&self) {
        while let Ok(Some(_)) = waitpgid(self.id, WaitOptions::NOHANG) {}
    }

    fn signal(&self, signal: Signal) {
        match kill_process_group(self.id, signal) {
            // Everybody ended in the meantime: nothing is left to be done.
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => {
                let group = self.id();
                tracing::warn!(group, ?signal, %error, "cannot signal the process group");
            }
        }
    }
}

/// A member that has not ended. The group itself also counts members that have, until their parent
/// waits for them: an orphan's is the first process of the system, and in a container that may be one
/// that never does.
fn living_member(group: Pid) -> Option<Pid> {
    let Ok(processes) = fs::read_dir("/proc") else {
        // No such list on this system: the group counts as it stands.
        return Some(group);
    };
    let names = processes.flatten().map(|process| process.file_name());
    names
        .filter_map(|name| Pid::from_raw(name.to_str()?.parse().ok()?))
        .find(|pid| is_alive(*pid, group))
}

/// Whether the process is of this group and has not ended. One that cannot be looked at is gone, or
/// not ours.
fn is_alive(pid: Pid, group: Pid) -> bool {
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_pid()));
    stat.is_ok_and(|stat| is_alive_in(&String::from_utf8_lossy(&stat), group))
}

/// Reads `pid (name) state parent group …`; the name may have spaces and parentheses of its own.
fn is_alive_in(stat: &str, group: Pid) -> bool {
    let (_, fields) = stat.rsplit_once(')').unwrap_or_default();
    let mut fields = fields.split_ascii_whitespace();
    let ended = matches!(fields.next(), None | Some("Z" | "X"));
    let its_group = fields.nth(1).and_then(|field| field.parse().ok());
    !ended && its_group == Some(group.as_raw_pid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_member_is_told_from_the_dead_and_from_strangers() {
        let group = Pid::from_raw(40).unwrap();
        assert!(is_alive_in("42 (ruby) S 1 40 40 0 -1", group));
        assert!(is_alive_in("42 (a) Z 1 2 (b) R 1 40 40 0 -1", group));
        assert!(!is_alive_in("42 (ruby) Z 1 40 40 0 -1", group));
        assert!(!is_alive_in("42 (ruby) S 1 41 40 0 -1", group));
        for garbage in ["", "42", "42 (ruby)", "42 (ruby) S", "42 (ruby) S 1 x"] {
            assert!(!is_alive_in(garbage, group), "{garbage}");
        }
    }

    #[test]
    fn no_process_has_the_id_zero() {
        assert!(Group::led_by(0).is_none());
        assert!(Group::led_by(u32::MAX).is_none());
        assert_eq!(Group::led_by(7).unwrap().id(), 7);
    }
}
