//! The `vestibule` command.

use std::process::ExitCode;

/// Measured against the system's: cheaper for the many small buffers of a proxied request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vestibule::cli::main().into()
}
