//! `runbook:log` and `runbook:progress`: told to people; no entry, no ordinal. And `runbook:types`, which has no functions.

use super::super::bindings::runbook::log::log;
use super::super::bindings::runbook::progress::progress;
use super::super::bindings::runbook::types::types;
use super::super::instance::Guest;

impl log::Host for Guest {
    async fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => "debug",
            log::Level::Info => "info",
            log::Level::Warn => "warn",
            log::Level::Error => "error",
        };
        self.note(level, &message)
    }
}

impl progress::Host for Guest {
    async fn report(&mut self, done: u32, total: u32, message: String) -> wasmtime::Result<()> {
        self.note("progress", &format!("{done}/{total} {message}"))
    }
}

impl types::Host for Guest {}
