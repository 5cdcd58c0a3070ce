//! Builds runbook plugins for the sandbox: finds a compiler that can, compiles `wasm32-unknown-unknown`, makes
//! components.
//!
//! Used by the engine's build for our own plugins and, as a program, by people who write one. Knows nothing of what a
//! plugin does.

mod component;
mod toolchain;

pub use component::Component;
pub use toolchain::{TARGET, Toolchain, output};

use std::path::{Path, PathBuf};

/// Where and what to build.
pub struct Guests<'a> {
    /// The directory of the workspace, or of the package if it stands alone.
    pub workspace: &'a Path,
    /// Cargo's target directory; the standard library is built there once if the compiler brings none.
    pub target_dir: &'a Path,
    /// Names of the packages; each has a `cdylib`.
    pub packages: &'a [String],
}

impl Guests<'_> {
    /// Compiles them all and returns, in the same order, where each module was written.
    pub fn build(&self, toolchain: &Toolchain) -> Result<Vec<PathBuf>, String> {
        let mut cargo = toolchain.cargo_for_guests(self.workspace);
        cargo.current_dir(self.workspace).args(["build", "--release", "--locked", "--target", TARGET]);
        cargo.arg("--target-dir").arg(self.target_dir);
        for package in self.packages {
            cargo.args(["--package", package]);
        }
        output(&mut cargo)?;
        let folder = self.target_dir.join(TARGET).join("release");
        Ok(self.packages.iter().map(|name| folder.join(name.replace('-', "_") + ".wasm")).collect())
    }
}
