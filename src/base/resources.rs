//! Threads and memory of this process.

use super::error::{Error, Result};

/// Sets the number of threads of rayon, all processors where none is asked for, first of all: every kernel uses it,
/// and LAPACK takes as many.
///
/// # Errors
/// [`Error::Usage`] where the system has not so many.
pub fn set_threads(asked: Option<usize>) -> Result<()> {
    let threads = asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        // the command itself runs on one of them, with the stack of a main thread
        .stack_size(8 << 20)
        .build_global()
        .map_err(|e| Error::usage(format!("{threads} threads cannot be started: {e}")))?;
    Ok(())
}

/// Threads in use.
pub fn threads() -> usize {
    rayon::current_num_threads()
}

/// Three quarters of the memory that is free, or 4 GiB where the system does not say.
pub fn default_memory() -> u64 {
    let available =
        std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| field(&text, "MemAvailable:"));
    available.map_or(4 << 30, |bytes| bytes / 4 * 3)
}

/// The most memory this process has held, where the system says.
pub fn peak_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    field(&text, "VmHWM:")
}

/// A field in kB of a file of /proc, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}
