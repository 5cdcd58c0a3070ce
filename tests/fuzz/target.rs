// What every fuzz target is: the function of its name in `inputs/`.

#[path = "inputs/mod.rs"]
mod inputs;

/// What the last panic said.
static LAST_WORDS: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());

/// libFuzzer's own hook ends the process at every panic; ours lets those pass that the engine catches itself, such as
/// those of the libraries that compile schemas and evaluate expressions.
fn listen() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            if let Ok(mut words) = LAST_WORDS.lock() {
                *words = format!("{panic}\n{}", std::backtrace::Backtrace::force_capture());
            }
        }));
    });
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    listen();
    if std::panic::catch_unwind(|| inputs::feed(env!("CARGO_BIN_NAME"), bytes)).is_err() {
        eprintln!("{}", LAST_WORDS.lock().map(|words| words.clone()).unwrap_or_default());
        std::process::abort();
    }
});
