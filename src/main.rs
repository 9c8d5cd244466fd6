//! Parse, run, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: warmlab::base::allocator::Allocator = warmlab::base::allocator::Allocator;

fn main() -> ExitCode {
    warmlab::cli::main()
}
