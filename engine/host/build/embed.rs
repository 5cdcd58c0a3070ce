//! The generated file: everything the binary carries with it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::plugin::Plugin;
use super::watch::entries;

/// Writes `embedded.rs` and the components it includes.
pub(crate) fn write(root: &Path, out: &Path, plugins: &[Plugin]) -> Result<(), String> {
    let mut text = String::new();
    write_plugins(&mut text, out, plugins)?;
    write_texts(&mut text, "RUNBOOKS", &runbooks(root)?);
    write_texts(&mut text, "PROJECT", &project(root)?);
    put(&out.join("embedded.rs"), text.as_bytes())
}

fn write_plugins(text: &mut String, out: &Path, plugins: &[Plugin]) -> Result<(), String> {
    text.push_str("static PLUGINS: &[Embedded] = &[\n");
    for Plugin { name, component, description } in plugins {
        let path = out.join(format!("{name}.wasm"));
        put(&path, component)?;
        let file = path.display().to_string();
        let _ = writeln!(
            text,
            "    Embedded {{ name: {name:?}, component: include_bytes!({file:?}), description: {description:?} }},"
        );
    }
    text.push_str("];\n");
    Ok(())
}

/// A list of names and the files that hold their texts.
fn write_texts(text: &mut String, list: &str, files: &[(String, String)]) {
    let _ = writeln!(text, "static {list}: &[(&str, &str)] = &[");
    for (name, file) in files {
        let _ = writeln!(text, "    ({name:?}, include_str!({file:?})),");
    }
    text.push_str("];\n");
}

/// Name and file of every runbook of the library.
fn runbooks(root: &Path) -> Result<Vec<(String, String)>, String> {
    let named = entries(&root.join("runbooks"))?.into_iter().filter_map(|path| {
        let name = path.file_name()?.to_str()?.strip_suffix(".yaml")?.to_owned();
        Some((name, path.display().to_string()))
    });
    Ok(named.collect())
}

/// The files of a new plugin's project, by their place in it: the template, and copies of the contract, the SDK and the
/// builder, so that it stands alone.
fn project(root: &Path) -> Result<Vec<(String, String)>, String> {
    let (sdk, pack) = (root.join("plugins/sdk"), root.join("plugins/pack"));
    let mut files = Vec::new();
    collect(&sdk.join("template"), "", &mut files)?;
    collect(&root.join("wit"), "wit/", &mut files)?;
    for (package, place) in [(sdk, "vendor/sdk/"), (pack, "vendor/pack/")] {
        files.push((format!("{place}Cargo.toml"), package.join("Cargo.toml").display().to_string()));
        collect(&package.join("src"), &format!("{place}src/"), &mut files)?;
    }
    files.push(("Cargo.lock".to_owned(), root.join("plugins/Cargo.lock").display().to_string()));
    Ok(files)
}

/// Every file under a folder, with `place` before its path.
fn collect(folder: &Path, place: &str, files: &mut Vec<(String, String)>) -> Result<(), String> {
    for path in entries(folder)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            collect(&path, &format!("{place}{name}/"), files)?;
        } else {
            files.push((format!("{place}{name}"), path.display().to_string()));
        }
    }
    Ok(())
}

/// Writes only what differs, so that nothing is compiled again in vain.
fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|e| format!("cannot write `{}`: {e}", path.display()))
}
