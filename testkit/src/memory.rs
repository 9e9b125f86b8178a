//! How much memory a process has taken.

/// The most memory that a process has had, in MB, as Linux counts it.
///
/// # Panics
/// When there is no such process.
#[must_use]
pub fn peak_memory_mb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs, on Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a peak");
    let kilobytes = line.split_whitespace().nth(1).expect("a figure");
    kilobytes.parse::<u64>().expect("a number") / 1_024
}
