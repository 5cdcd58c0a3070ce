//! `runbook audit tail`.

use std::time::Duration;

use clap::Args;

use crate::cli::Ended;
use crate::cli::context::Context;
use crate::cli::output::time;
use crate::cli::render::value;
use crate::cli::runs;
use crate::error::exit;
use audit::{Entry, EntryFilter, Reader};

/// Between two looks for new entries.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest specifics of an entry on one line.
const MAX_DATA: usize = 200;

/// Print the newest entries, oldest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  runbook audit tail
  runbook audit tail --follow
  runbook audit tail --run last --lines 1000
  runbook audit tail --kind 'run.*' --kind halt.on --output json       one JSON document per line")]
pub(in crate::cli) struct Tail {
    /// So many
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    lines: usize,
    /// Go on as entries come, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only this kind, for example `call.intended` or `run.*`; may be given many times
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
}

impl Tail {
    pub(super) fn run(self, context: &Context) -> Ended {
        let reader = Reader::open(&context.settings()?.data.path)?;
        let run = self.run.as_deref().map(|run| runs::find(&reader, run)).transpose()?;
        let newest = EntryFilter {
            run,
            kinds: self.kind,
            limit: self.lines,
            newest_first: true,
            ..EntryFilter::default()
        };
        let mut entries = reader.entries(&newest)?;
        entries.sort_by_key(|entry| entry.seq);
        let mut seen = entries.last().map_or(0, |entry| entry.seq);
        for entry in &entries {
            tell(context, entry);
        }
        let later = EntryFilter { limit: EntryFilter::default().limit, newest_first: false, ..newest };
        while self.follow && !context.out.closed() {
            std::thread::sleep(PAUSE);
            for entry in reader.entries(&EntryFilter { after_seq: seen, ..later.clone() })? {
                seen = entry.seq;
                tell(context, &entry);
            }
        }
        Ok(exit::SUCCEEDED)
    }
}

fn tell(context: &Context, entry: &Entry) {
    let out = &context.out;
    if out.is_json() {
        out.json_line(entry);
        return;
    }
    let when = time::date(entry.time_ms);
    let run = entry.run.as_ref().map_or("-", |run| run.as_str());
    let data = crate::cli::output::table::cut(&value::inline(&entry.data), MAX_DATA);
    let (seq, kind) = (out.paint.dim(&entry.seq.to_string()), out.paint.bold(&entry.kind));
    out.line(
        format!("{seq} {when} {run} {} {kind} {data}", crate::error::printable(&entry.actor)).trim_end(),
    );
}
