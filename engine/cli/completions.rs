//! `runbook completions`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::aot;

use super::context::Context;
use super::{Cli, Ended};
use crate::error::exit;

/// Print what a shell needs to complete the command line
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook completions bash > /etc/bash_completion.d/runbook
  runbook completions zsh  > ~/.zfunc/_runbook
  runbook completions fish > ~/.config/fish/completions/runbook.fish")]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of a command")]
impl Completions {
    pub(super) fn run(self, context: &Context) -> Ended {
        let shell = match self.shell {
            Shell::Bash => aot::Shell::Bash,
            Shell::Zsh => aot::Shell::Zsh,
            Shell::Fish => aot::Shell::Fish,
        };
        let mut script = Vec::new();
        aot::generate(shell, &mut Cli::command(), "runbook", &mut script);
        context.out.bytes(&script);
        Ok(exit::SUCCEEDED)
    }
}
