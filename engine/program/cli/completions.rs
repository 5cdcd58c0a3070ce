//! `runbook completions`: what a shell needs to complete the command line.

use clap::{Args, Command, CommandFactory as _, ValueEnum};
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
        aot::generate(shell, &mut visible(&Cli::command()), "runbook", &mut script);
        context.out.exact(&String::from_utf8_lossy(&script));
        Ok(exit::SUCCEEDED)
    }
}

/// The command line without what is not for people to type.
fn visible(command: &Command) -> Command {
    let shown = command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(visible);
    let about = command.get_about().cloned().unwrap_or_default();
    // Names are kept for as long as the process, which ends as soon as they are printed.
    Command::new(&*command.get_name().to_owned().leak())
        .about(about)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(command.is_disable_version_flag_set())
        .args(command.get_arguments().cloned())
        .subcommands(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_not_offered() {
        let names = |command: &Command| -> Vec<String> {
            command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect()
        };
        let offered = names(&visible(&Cli::command()));
        assert!(
            !offered.contains(&"engine".to_owned()) && offered.contains(&"run".to_owned()),
            "{offered:?}"
        );
        for shell in [aot::Shell::Bash, aot::Shell::Zsh, aot::Shell::Fish] {
            let mut script = Vec::new();
            aot::generate(shell, &mut visible(&Cli::command()), "runbook", &mut script);
            let script = String::from_utf8(script).unwrap();
            assert!(script.contains("no-wait") && !script.contains("runbook__engine"), "{shell}");
        }
    }
}
