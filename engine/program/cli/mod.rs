//! The command line: one file per command, nothing that another face would need too. Commands ask [`executor`]
//! (in this process or over the socket) and read [`audit`]; they decide nothing about runs.

mod audit;
mod completions;
mod config;
mod context;
mod doctor;
mod emergency;
mod engine;
mod feed;
mod follow;
mod guard;
mod halt;
mod launch;
mod line;
mod list;
mod new;
mod output;
mod patience;
mod plan;
mod plugin;
mod render;
mod run;
mod runs;
mod schema;
mod secret;
mod service;
mod session;
mod show;
mod signals;
mod state;
mod validate;
mod watching;
mod wish;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rustix::fs::Mode;
use serde_json::json;

use crate::config::{Environment, Flags};
use crate::error::{Error, Kind, exit};
use context::Context;
use output::{ColorWish, Format, Output, Shown};
use secrets::scrub;

/// What a command ends with: an exit code, or an error that has one.
type Ended = Result<u8, Error>;

/// After the list of commands.
const EXIT_CODES: &str = "\
Examples:
  runbook list                                            what there is
  runbook show service-restart                            what one does, and what it may do
  runbook plan service-restart -p service=shop/web        what it would do now; changes nothing
  runbook run service-restart -p service=shop/web         do it
  runbook runs watch last                                 look again

Exit codes:
  0 succeeded · 1 internal · 2 usage · 3 invalid runbook or input · 4 environment (Docker, disk, permissions)
  5 data directory busy or damaged · 10 failed · 11 rolled back · 12 in doubt or stuck · 13 denied · 14 halted
  15 skipped (nothing applied) · 130 cancelled · 143 told to end before its run did";

/// Runbooks whose every effect is granted, written down before it acts, and verifiable afterwards.
#[derive(Debug, Parser)]
#[command(name = "runbook", version, after_help = EXIT_CODES, propagate_version = true, max_term_width = 120)]
#[command(disable_help_subcommand = false, subcommand_required = true, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Global {
    /// Where everything is kept [default: /var/lib/runbook if usable, else ~/.local/share/runbook]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    data_dir: Option<PathBuf>,
    /// The configuration [default: runbook.toml here, else /etc/runbook/runbook.toml]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    config: Option<PathBuf>,
    /// The container daemon, by its name in runbook.toml [default: local]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    target: Option<String>,
    /// Text for people or JSON for programs
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Global options"
    )]
    output: Format,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", help_heading = "Global options")]
    color: ColorWish,
    /// Tell on stderr what the engine does; twice tells more
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Run),
    Plan(plan::Plan),
    List(list::List),
    Show(show::Show),
    Validate(validate::Validate),
    New(new::New),
    Schema(schema::Schema),
    #[command(subcommand)]
    Runs(runs::Runs),
    #[command(subcommand)]
    Audit(audit::Audit),
    #[command(subcommand)]
    Service(service::Service),
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    #[command(subcommand)]
    State(state::State),
    #[command(subcommand)]
    Secret(secret::Secret),
    #[command(subcommand)]
    Halt(halt::Halt),
    Doctor(doctor::Doctor),
    #[command(subcommand)]
    Config(config::Config),
    Completions(completions::Completions),
    #[command(hide = true)]
    Engine(engine::Engine),
}

impl Command {
    /// Whether what it prints may come from anywhere but this program and the names of secrets. `secret` knows what it holds,
    /// and must work without the key.
    fn tells_of_the_world(&self) -> bool {
        !matches!(self, Self::Secret(_) | Self::Schema(_) | Self::Completions(_))
    }

    /// Whether it writes nothing into the data directory, but files for people, who have a umask for that.
    fn writes_for_others(&self) -> bool {
        matches!(
            self,
            Self::New(_) | Self::Plugin(plugin::Plugin::New(_)) | Self::Audit(audit::Audit::Export(_))
        )
    }

    /// Whose secrets it uses, if not those of its own data directory.
    fn secrets_of(&self) -> Option<PathBuf> {
        match self {
            Self::Engine(engine) => engine.secrets_of.clone(),
            _ => None,
        }
    }

    fn run(self, context: &Context) -> Ended {
        match self {
            Self::Run(command) => command.run(context),
            Self::Plan(command) => command.run(context),
            Self::List(command) => command.run(context),
            Self::Show(command) => command.run(context),
            Self::Validate(command) => command.run(context),
            Self::New(command) => command.run(context),
            Self::Schema(command) => command.run(context),
            Self::Runs(command) => command.run(context),
            Self::Audit(command) => command.run(context),
            Self::Service(command) => command.run(context),
            Self::Plugin(command) => command.run(context),
            Self::State(command) => command.run(context),
            Self::Secret(command) => command.run(context),
            Self::Halt(command) => command.run(context),
            Self::Doctor(command) => command.run(context),
            Self::Config(command) => command.run(context),
            Self::Completions(command) => command.run(context),
            Self::Engine(command) => command.run(context),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    guard::up();
    let environment = Environment::of_process();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(misunderstood(&error, &arguments, &environment)),
    };
    trace(cli.global.verbose);
    let flags = Flags {
        data_dir: cli.global.data_dir,
        config: cli.global.config,
        target: cli.global.target,
        verbose: cli.global.verbose,
        secrets_of: cli.command.secrets_of(),
    };
    let context = Context::new(flags, Output::new(cli.global.output, cli.global.color, &environment));
    if cli.command.tells_of_the_world() {
        guard::learn(&context);
    }
    if !cli.command.writes_for_others() {
        // Whatever the person's umask is: what is made in the data directory is nobody else's.
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
    let code = match cli.command.run(&context) {
        Ok(code) => code,
        Err(error) => {
            context.out.error(&error);
            error.kind.exit_code()
        }
    };
    match context.out.lost() {
        // A code that already tells of something worse stays.
        Some(lost) if code == exit::SUCCEEDED => {
            context.out.error(&lost);
            ExitCode::from(lost.kind.exit_code())
        }
        Some(lost) => {
            context.out.warning(&lost.message);
            ExitCode::from(code)
        }
        None => ExitCode::from(code),
    }
}

/// Help and version are answers; everything else is an error that clap words itself.
fn misunderstood(error: &clap::Error, arguments: &[OsString], environment: &Environment) -> u8 {
    let json = arguments.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json")
        || arguments.iter().any(|argument| argument == "--output=json");
    let format = if json { Format::Json } else { Format::Text };
    let out = Output::new(format, ColorWish::Auto, environment);
    let data_dir =
        arguments.windows(2).find(|pair| pair[0] == "--data-dir").map(|pair| PathBuf::from(&pair[1]));
    if error.use_stderr() {
        // It quotes what was typed.
        guard::learn(&Context::new(Flags { data_dir, ..Flags::default() }, out.again()));
    }
    let text = |painted: bool| {
        let rendered = error.render();
        plain(if painted { rendered.ansi().to_string() } else { rendered.to_string() })
    };
    if !error.use_stderr() {
        out.raw(&text(out.paint.0));
        return exit::SUCCEEDED;
    }
    out.talk_raw(&text(out.talk_paint.0));
    if out.is_json() {
        let message = text(false).lines().next().unwrap_or_default().replacen("error: ", "", 1);
        out.json(&json!({ "error": Error::new(Kind::Usage, message).hint("see `runbook help`") }));
    }
    exit::USAGE
}

/// What Rust says of a text that is no number, in words for everybody.
fn plain(text: String) -> String {
    const WORDS: [(&str, &str); 4] = [
        ("invalid digit found in string", "must be a whole number"),
        ("cannot parse integer from empty string", "must be a whole number"),
        ("number too large to fit in target type", "is too large a number"),
        ("number too small to fit in target type", "is too small a number"),
    ];
    WORDS.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours))
}

fn trace(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "runbook=info,warn",
        2 => "runbook=debug,info",
        _ => "runbook=trace,debug",
    };
    let made = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_writer(|| Shown(scrub::writer(std::io::stderr())))
        .try_init();
    assert!(made.is_ok(), "tracing starts once");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &clap::Command, path: &str, without: &mut Vec<String>) {
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
            {
                let path = format!("{path} {}", sub.get_name());
                let leaf = sub.get_subcommands().all(|sub| sub.get_name() == "help");
                let help = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                if leaf && !help.contains("Example") {
                    without.push(path.clone());
                }
                check(sub, &path, without);
            }
        }
        let mut without = Vec::new();
        check(&Cli::command(), "runbook", &mut without);
        assert!(without.is_empty(), "no examples: {without:?}");
    }
}
