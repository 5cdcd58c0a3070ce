//! A plugin's bytes, from anybody: compiled, linked, and asked to describe itself. What begins with `(` is its text.

use std::sync::LazyLock;

use host::{Wasm, describe};
use tokio::runtime::{Builder, Runtime};
use words::ids::PluginName;

static HOST: LazyLock<(Wasm, Runtime)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    (Wasm::new(None).expect("an engine"), runtime)
});

pub(super) fn feed(bytes: &[u8]) {
    let assembled = bytes.starts_with(b"(").then(|| wat::parse_bytes(bytes).ok()).flatten();
    let bytes = assembled.as_deref().unwrap_or(bytes);
    let (wasm, runtime) = &*HOST;
    let name = PluginName::new("stranger").expect("a name");
    match runtime.block_on(describe(wasm, &name, bytes)) {
        Ok(description) => assert_eq!(description.name, name),
        Err(error) => assert!(super::is_tame(&error.to_string()), "{error}"),
    }
}
