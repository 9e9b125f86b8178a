//! How much memory a process has taken.

/// The most memory that a process has had, in KB, as Linux counts it; `None` once it has ended.
#[must_use]
pub fn peak_memory_kb(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
