//! The floor under a durable step: the same component instantiated and called with nothing around it, and the same bytes
//! committed to a bare database with the same settings.

use std::path::Path;
use std::time::{Duration, Instant};

use host::embedded;
use rusqlite::Connection;
use wasmtime::component::{Component, Linker, Val};
use wasmtime::{Config, Engine, Store};

use crate::figure::median;

const ROUNDS: usize = 200;

/// Instantiates the plugin `state` and calls its step `set` with a host that answers at once.
pub(crate) fn instantiate_and_call() -> Duration {
    let mut config = Config::new();
    config.cranelift_nan_canonicalization(true).wasm_relaxed_simd(false);
    let engine = Engine::new(&config).unwrap();
    let component = Component::new(&engine, embedded::component("state").unwrap()).unwrap();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .instance("runbook:state/state@0.1.0")
        .unwrap()
        .func_new("set", |_, _, _, results| {
            results[0] = Val::Result(Ok(None));
            Ok(())
        })
        .unwrap();
    linker.define_unknown_imports_as_traps(&component).unwrap();
    let ready = linker.instantiate_pre(&component).unwrap();
    let exported = component.get_export_index(None, "runbook:step/step@0.1.0").unwrap();
    let run = component.get_export_index(Some(&exported), "run").unwrap();
    let once = || {
        let started = Instant::now();
        let mut store = Store::new(&engine, ());
        let instance = ready.instantiate(&mut store).unwrap();
        let run = instance.get_func(&mut store, run).unwrap();
        let mut results = [Val::Bool(false)];
        run.call(&mut store, &arguments(), &mut results).unwrap();
        let took = started.elapsed();
        assert!(matches!(&results[0], Val::Result(Ok(Some(_)))), "{results:?}");
        took
    };
    median((0..ROUNDS).map(|_| once()).collect())
}

fn arguments() -> [Val; 3] {
    let context = [
        ("run", Val::String("00000000000000".to_owned())),
        ("step", Val::String("s".to_owned())),
        ("attempt", Val::U32(1)),
        ("first-started-ms", Val::U64(0)),
    ];
    let context = context.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let input = r#"{"bucket":"bench","key":"k","value":{"n":1}}"#;
    [Val::String("set".to_owned()), Val::Record(context), Val::String(input.to_owned())]
}

/// Commits `bytes` to a bare table, synced, and returns the middle time of one commit.
pub(crate) fn synced_commit(dir: &Path, bytes: usize) -> Duration {
    let file = dir.join("floor.db");
    let db = Connection::open(&file).unwrap();
    db.pragma_update(None, "journal_mode", "wal").unwrap();
    db.pragma_update(None, "synchronous", "full").unwrap();
    db.execute_batch("create table entry (seq integer primary key, body blob)").unwrap();
    let body = vec![b'x'; bytes];
    let once = || {
        let started = Instant::now();
        db.prepare_cached("insert into entry (body) values (?1)").unwrap().execute([&body]).unwrap();
        started.elapsed()
    };
    let all = (0..ROUNDS).map(|_| once()).collect();
    drop(std::fs::remove_file(file));
    median(all)
}
