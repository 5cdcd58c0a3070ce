//! `cargo run -p runbook-pack -- NAME`: builds the package `runbook-NAME` of this workspace and writes its component to
//! `target/plugins/NAME.wasm`, ready for `runbook plugin add`.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runbook_pack::{Component, Guests, Toolchain};

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    let written = match names.as_slice() {
        [name] if !name.starts_with('-') => pack(name),
        _ => Err("usage: cargo run -p runbook-pack -- NAME".to_owned()),
    };
    match written {
        Ok(path) => {
            let _ = writeln!(io::stdout(), "{}", path.display());
            ExitCode::SUCCESS
        }
        Err(words) => {
            let _ = writeln!(io::stderr(), "error: {words}");
            ExitCode::FAILURE
        }
    }
}

fn pack(name: &str) -> Result<PathBuf, String> {
    let target_dir = env::current_dir().map_err(|e| e.to_string())?.join("target/plugins");
    let packages = [format!("runbook-{name}")];
    let modules = Guests { workspace: Path::new("."), target_dir: &target_dir, packages: &packages }
        .build(&Toolchain::find()?)?;
    let path = target_dir.join(format!("{name}.wasm"));
    for module in modules {
        let component = Component::from_module(&module)?;
        fs::write(&path, component.bytes).map_err(|e| format!("cannot write `{}`: {e}", path.display()))?;
    }
    Ok(path)
}
