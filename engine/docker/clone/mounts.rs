//! Volumes without a name: each belongs to one container. A replacement takes it over; every other copy gets its own.

use serde_json::{Value, json};

use super::image::field;
use super::original::{Kind, Object, Original, is_empty};
use crate::name::is_id;

/// Volumes that nobody named have 64 hex digits for a name, as ids have.
fn is_nameless(volume: &str) -> bool {
    is_id(volume)
}

/// Settles the nameless volumes of a copy.
pub(super) fn volumes(original: &Original, kind: Kind, config: &mut Object, host: &mut Object) {
    match kind {
        Kind::Replacement => take_over(original, config, host),
        Kind::Further | Kind::OneShot => make_anew(config, host),
    }
}

fn take_over(original: &Original, config: &Object, host: &mut Object) {
    for mount in original.mounts().filter(|mount| mount["Type"] == "volume") {
        let (Some(volume), Some(place)) = (mount["Name"].as_str(), mount["Destination"].as_str()) else {
            continue;
        };
        if !is_nameless(volume) {
            continue;
        }
        let typed = typed(host).find(|typed| is_place(&typed["Target"], place));
        if let Some(typed) = typed {
            typed.insert("Source".to_owned(), json!(volume));
        } else if is_own(config, host, place) {
            let mode = if mount["RW"] == false { ":ro" } else { "" };
            let binds = host.entry("Binds").or_insert_with(|| json!([]));
            if binds.is_null() {
                *binds = json!([]);
            }
            if let Value::Array(binds) = binds {
                binds.push(json!(format!("{volume}:{place}{mode}")));
            }
        }
    }
}

/// Whether a volume there is the container's own, and not yet named: one of `volumes_from` comes with the container
/// that is named there.
fn is_own(config: &Object, host: &Object, place: &str) -> bool {
    let listed = field(config, "Volumes").as_object().is_some_and(|volumes| lists(volumes, place));
    let bound = field(host, "Binds").as_array().into_iter().flatten().any(|bind| {
        bind.as_str().and_then(|bind| bind.split(':').nth(1)).is_some_and(|at| is_place(&json!(at), place))
    });
    !bound && (listed || is_empty(field(host, "VolumesFrom")))
}

/// A replacement was given its volumes by name; a further replica of it must not have the same.
fn make_anew(config: &mut Object, host: &mut Object) {
    for typed in typed(host) {
        if typed.get("Source").and_then(Value::as_str).is_some_and(is_nameless) {
            typed.remove("Source");
        }
    }
    let Some(Value::Array(binds)) = host.get_mut("Binds") else { return };
    let mut anew = Vec::new();
    binds.retain(|bind| {
        let mut parts = bind.as_str().unwrap_or_default().split(':');
        let (volume, place) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let nameless = is_nameless(volume);
        if nameless {
            let read_only = parts.next().unwrap_or_default().split(',').any(|mode| mode == "ro");
            anew.push((place.to_owned(), read_only));
        }
        !nameless
    });
    for (place, read_only) in anew {
        if read_only {
            // Only this way of writing has a place for it.
            let mounts = host.entry("Mounts").or_insert_with(|| json!([]));
            let mount = json!({ "Type": "volume", "Target": place, "ReadOnly": true });
            match mounts {
                Value::Array(mounts) => mounts.push(mount),
                other => *other = json!([mount]),
            }
        } else {
            let volumes = config.entry("Volumes").or_insert_with(|| json!({}));
            match volumes {
                Value::Object(volumes) if lists(volumes, &place) => {}
                Value::Object(volumes) => drop(volumes.insert(place, json!({}))),
                other => *other = json!({ place: {} }),
            }
        }
    }
}

fn lists(volumes: &Object, place: &str) -> bool {
    volumes.keys().any(|volume| volume.trim_end_matches('/') == place.trim_end_matches('/'))
}

/// Mounts of volumes, of the newer way of writing.
fn typed(host: &mut Object) -> impl Iterator<Item = &mut Object> {
    let mounts = host.get_mut("Mounts").and_then(Value::as_array_mut);
    mounts.into_iter().flatten().filter_map(Value::as_object_mut).filter(|mount| mount["Type"] == "volume")
}

fn is_place(target: &Value, place: &str) -> bool {
    target.as_str().is_some_and(|target| target.trim_end_matches('/') == place.trim_end_matches('/'))
}
