//! How much memory the hub has.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes that this process may use: what its container is allowed, else what the machine has. `None` where the system
/// does not tell (it is Linux that does).
pub(crate) fn all() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limits = limit_files(&groups).into_iter().filter_map(|file| fs::read_to_string(file).ok());
    limits.filter_map(|limit| of_group(&limit)).chain(machine).min()
}

/// Where limits of memory are told: of the group that this process is in (`0::/system.slice/hub.service` of version 2,
/// `4:memory:/…` of version 1, see cgroups(7)) and of all that this one is in. A container sees its own as the root.
fn limit_files(groups: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (root, name) = match parts.next() {
            Some("") => ("/sys/fs/cgroup", "memory.max"),
            Some("memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => continue,
        };
        let group = parts.next().unwrap_or_default().trim_start_matches('/');
        let all = Path::new(group).ancestors();
        files.extend(all.map(|group| Path::new(root).join(group).join(name)));
    }
    files
}

/// `MemTotal:       24606788 kB`, see proc_meminfo(5).
fn of_machine(meminfo: &str) -> Option<usize> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}

/// A number, or `max`, see the kernel's cgroup-v2.
fn of_group(limit: &str) -> Option<usize> {
    limit.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says() {
        let meminfo = "MemFree:  100 kB\nMemTotal:       24606788 kB\n";
        assert_eq!(of_machine(meminfo), Some(24_606_788 * 1024));
        assert_eq!(of_machine("MemTotal: many"), None);
        assert_eq!(of_group("268435456\n"), Some(256 << 20));
        assert_eq!(of_group("max\n"), None);
    }

    #[test]
    fn a_group_is_in_others() {
        let files = limit_files("1:cpu:/a\n4:memory:/docker/1\n0::/system.slice/hub.service\n");
        let files: Vec<_> = files.iter().filter_map(|file| file.to_str()).collect();
        let expected = [
            "/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/system.slice/hub.service/memory.max",
            "/sys/fs/cgroup/system.slice/memory.max",
            "/sys/fs/cgroup/memory.max",
        ];
        assert_eq!(files, expected);
    }
}
