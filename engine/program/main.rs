//! The program: everything is in the library; this only hands back the exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    runbook::cli::main()
}
