//! Which compiler can build for the sandbox on this machine.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What plugins are compiled for.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// The oldest compiler the plugins build with.
const OLDEST: (u32, u32) = (1, 95);

/// What to say when no compiler can.
const ADVICE: &str = "no Rust compiler here can build for wasm32-unknown-unknown: run `rustup target add \
    wasm32-unknown-unknown`, or on Debian 12 `apt-get install -y --no-install-recommends rustc-web cargo-web rust-web-src lld`";

/// Variables of an outer cargo that must not reach an inner one, by their beginning. `CARGO_HOME` and how to reach
/// registries are the person's own settings and stay.
const OUTER: [&str; 8] = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC", "CLIPPY", "OUT_DIR", "TARGET", "HOST"];
const KEPT: [&str; 5] = ["CARGO_HOME", "CARGO_HTTP", "CARGO_NET", "CARGO_REGISTR", "CARGO_SOURCE"];

/// A compiler, its cargo, and how it comes to a standard library for the target.
#[derive(Debug)]
pub struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    sysroot: PathBuf,
    library: Library,
}

#[derive(Debug)]
enum Library {
    /// It is installed.
    Installed,
    /// It is compiled from its sources, with this linker.
    FromSource(PathBuf),
}

impl Toolchain {
    /// The compiler in use if it has the target, else the system's; failing that, the first with the sources of the
    /// standard library.
    pub fn find() -> Result<Self, String> {
        let own = (path_or("CARGO", "cargo"), path_or("RUSTC", "rustc"));
        let system = (PathBuf::from("/usr/bin/cargo"), PathBuf::from("/usr/bin/rustc"));
        let found: Vec<_> =
            [own, system].into_iter().filter_map(|(cargo, rustc)| Facts::of(cargo, rustc)).collect();
        let linker = found.iter().find_map(|facts| facts.linker.clone());
        let installed =
            found.iter().find(|facts| facts.has_target).map(|facts| facts.with(Library::Installed));
        let from_source = || {
            let linker = linker?;
            found.iter().find(|facts| facts.has_sources).map(|facts| facts.with(Library::FromSource(linker)))
        };
        installed.or_else(from_source).ok_or_else(|| ADVICE.to_owned())
    }

    /// Cargo, free of what an outer cargo has set.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(&self.cargo);
        for (name, _) in env::vars_os() {
            let begins =
                |list: &[&str]| name.to_str().is_some_and(|name| list.iter().any(|b| name.starts_with(b)));
            if begins(&OUTER) && !begins(&KEPT) {
                command.env_remove(&name);
            }
        }
        command.env("RUSTC", &self.rustc);
        command
    }

    /// Cargo as [`Toolchain::cargo`], ready to build a workspace for [`TARGET`]. No path of this machine gets into a
    /// plugin, so that the same compiler makes the same bytes, and so the same digest, in any folder.
    pub fn cargo_for_guests(&self, workspace: &Path) -> Command {
        let mut command = self.cargo();
        let home = env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| env::home_dir().map(|home| home.join(".cargo")));
        let places =
            [(Some(workspace), "plugin"), (home.as_deref(), "cargo"), (Some(&*self.sysroot), "rust")];
        let flags = places.into_iter().filter_map(|(from, to)| {
            let from = from?.canonicalize().ok()?;
            Some(format!("--remap-path-prefix={}={to}", from.display()))
        });
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join("\u{1f}"));
        if let Library::FromSource(linker) = &self.library {
            // Compiling the standard library is not a stable feature; this is how a stable compiler is told to allow it.
            command.env("RUSTC_BOOTSTRAP", "1");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
            command.args(["-Zbuild-std=std,panic_abort"]);
        }
        command
    }
}

/// What there is to know of one compiler.
struct Facts {
    cargo: PathBuf,
    rustc: PathBuf,
    sysroot: PathBuf,
    has_target: bool,
    has_sources: bool,
    linker: Option<PathBuf>,
}

impl Facts {
    /// None if it does not run, or is too old.
    fn of(cargo: PathBuf, rustc: PathBuf) -> Option<Self> {
        let about = output(Command::new(&rustc).arg("-vV")).ok()?;
        let line = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        if version(&line("release: ")?)? < OLDEST {
            return None;
        }
        let host = line("host: ")?;
        let print =
            |what: &str| output(Command::new(&rustc).args(["--print", what, "--target", TARGET])).ok();
        let target = PathBuf::from(print("target-libdir")?.trim());
        let sysroot = PathBuf::from(print("sysroot")?.trim());
        let lld = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        Some(Self {
            has_target: target.is_dir(),
            has_sources: sysroot.join("lib/rustlib/src/rust/library/std/src/lib.rs").is_file(),
            linker: Some(lld).filter(|lld| lld.is_file()).or_else(linker_on_path),
            cargo,
            rustc,
            sysroot,
        })
    }

    fn with(&self, library: Library) -> Toolchain {
        Toolchain {
            cargo: self.cargo.clone(),
            rustc: self.rustc.clone(),
            sysroot: self.sysroot.clone(),
            library,
        }
    }
}

/// `1.96.0-nightly` → (1, 96)
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn linker_on_path() -> Option<PathBuf> {
    let folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH")?).collect();
    let places =
        ["rust-lld", "wasm-ld"].into_iter().flat_map(|name| folders.iter().map(move |f| f.join(name)));
    places.into_iter().find(|place| place.is_file())
}

fn path_or(variable: &str, default: &str) -> PathBuf {
    env::var_os(variable).unwrap_or_else(|| OsString::from(default)).into()
}

/// What a command prints, or everything it said if it fails.
pub fn output(command: &mut Command) -> Result<String, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command.output().map_err(|e| format!("cannot run `{program}`: {e}"))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("`{program}` failed ({}):\n{words}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
