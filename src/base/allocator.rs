//! The memory allocator of the binary and the benches.
//!
//! Every kernel allocates its outputs anew, tens of megabytes many times a second. Returning freed memory
//! to the system and getting it back as zeroed pages costs more than the arithmetic on it (a training
//! step of 10.7M parameters: 295 ms with mimalloc's defaults, 221 ms without the returning), so freed
//! memory stays with the process.

use libmimalloc_sys::{mi_option_set, mi_option_t};
pub use mimalloc::MiMalloc as Allocator;

/// `mi_option_purge_delay`, which the bindings leave out: the 16th of mimalloc's options.
const PURGE_DELAY: mi_option_t = 15;

/// Keeps freed memory for later allocations instead of returning it to the system.
#[allow(unsafe_code)]
pub fn keep_freed_memory() {
    // SAFETY: sets a number that the allocator reads; any value at any time is allowed
    unsafe { mi_option_set(PURGE_DELAY, -1) };
}

/// Returns freed memory to the system, for work that fills the memory it may use: blocks of many sizes
/// otherwise add up to more than is ever in use at a time (a third more for 124M parameters).
#[allow(unsafe_code)]
pub fn return_freed_memory() {
    // SAFETY: sets a number that the allocator reads; any value at any time is allowed
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code)]
    fn the_option_is_the_purge_delay() {
        // SAFETY: reads a number
        let delay = unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert!([10, 1000].contains(&delay), "the default of another option: {delay}");
    }
}
