//! Parse, run, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: warmlab::allocator::Allocator = warmlab::allocator::Allocator;

fn main() -> ExitCode {
    warmlab::cli::main()
}
