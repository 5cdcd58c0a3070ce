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
    write_texts(&mut text, "SDK", &sdk(root)?);
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

/// Everything a person needs to write a plugin of their own: path in their project, and file.
fn sdk(root: &Path) -> Result<Vec<(String, String)>, String> {
    let mut files = Vec::new();
    for (folder, place) in [("plugins/sdk", "sdk"), ("plugins/pack", "pack"), ("wit", "wit")] {
        collect(&root.join(folder), place, &mut files)?;
    }
    Ok(files)
}

fn collect(folder: &Path, place: &str, files: &mut Vec<(String, String)>) -> Result<(), String> {
    for path in entries(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let place = format!("{place}/{name}");
        if path.is_dir() {
            collect(&path, &place, files)?;
        } else {
            files.push((place, path.display().to_string()));
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
