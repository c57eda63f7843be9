//! How much memory the hub has.

use std::fs;

/// Bytes that this process may use: what its container is allowed, else what the machine has. `None` where the system
/// does not tell (it is Linux that does).
pub(crate) fn all() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_machine(&text));
    // Of version 2, and of version 1, as a container sees its own.
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let container = files.iter().find_map(|file| of_container(&fs::read_to_string(file).ok()?));
    [machine, container].into_iter().flatten().min()
}

/// `MemTotal:       24606788 kB`, see proc_meminfo(5).
fn of_machine(meminfo: &str) -> Option<usize> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}

/// A number, or `max`, see the kernel's cgroup-v2.
fn of_container(limit: &str) -> Option<usize> {
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
        assert_eq!(of_container("268435456\n"), Some(256 << 20));
        assert_eq!(of_container("max\n"), None);
    }
}
