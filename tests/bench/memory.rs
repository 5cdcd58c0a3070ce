//! How much memory a process holds, as the kernel counts it.

use std::fs;

use crate::figure::mib;

/// A line of `/proc/PID/status`.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    Now,
    Most,
}

/// In MiB; zero once the process is gone.
pub(crate) fn held_mib(pid: u32, held: Held) -> f64 {
    let name = match held {
        Held::Now => "VmRSS:",
        Held::Most => "VmHWM:",
    };
    line_mib(pid, "status", name)
}

/// Its share of what it holds, in MiB: a page that several processes map, such as one of the program itself, counts in parts
/// (`Pss` of `proc(5)`). Zero once the process is gone.
pub(crate) fn share_mib(pid: u32) -> f64 {
    line_mib(pid, "smaps_rollup", "Pss:")
}

/// What a line of a file of a process counts, in MiB.
fn line_mib(pid: u32, file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib: u64 = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0);
    mib(kib * 1024)
}

/// From now on [`Held::Most`] of this process counts anew (`proc(5)`, `clear_refs`).
pub(crate) fn count_anew() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}
