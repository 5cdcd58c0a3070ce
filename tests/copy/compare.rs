//! Whether a copy is a copy: the daemon's documents of both, field by field, by what was decided of each.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use docker::{Decision, decision};
use serde_json::{Map, Value, json};

/// What tells one container from the other and is no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// In the place of the original.
    Replacement,
    /// Beside it.
    Further,
}

/// One container as the daemon tells of it, among the others.
pub(super) struct Told<'a> {
    pub(super) document: &'a Value,
    /// Id and name of every container that the document may name.
    pub(super) others: &'a [(String, String)],
    /// Whether the MAC address of a network may be a setting.
    pub(super) mac_per_network: bool,
}

/// Everything in which a copy differs from its original though it should not, and every field that nobody decided about.
pub(super) fn differences(original: &Told<'_>, copy: &Told<'_>, how: As) -> Vec<String> {
    let (before, after) = (leaves(&original.canonical(how)), leaves(&copy.canonical(how)));
    let mut found = Vec::new();
    let places: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for place in places {
        let names: Vec<&str> = place.split(BETWEEN).collect();
        let (was, is) = (before.get(place), after.get(place));
        match decision(&names) {
            None => found.push(format!("{}: nobody has decided about this field", names.join("."))),
            Some(Decision::Kept | Decision::Derived(_)) if was != is => {
                found.push(format!("{}: was {}, is {}", names.join("."), text(was), text(is)));
            }
            Some(_) => {}
        }
    }
    found
}

/// The nameless volumes of a container.
pub(super) fn nameless(document: &Value) -> BTreeSet<String> {
    let mounts = document["Mounts"].as_array().into_iter().flatten();
    mounts.filter(|mount| is_nameless(&mount["Name"])).map(|mount| mount["Name"].to_string()).collect()
}

/// Between the names of a place.
const BETWEEN: char = '\u{1f}';

fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "not there".to_owned(), Value::to_string)
}

/// The fields of `Config`, `HostConfig` and each network by themselves; all others as they are. What is nothing is left out.
fn leaves(document: &Value) -> BTreeMap<String, Value> {
    let mut leaves = BTreeMap::new();
    let mut parts: Vec<(Vec<&str>, &Value)> = document
        .as_object()
        .expect("a document")
        .iter()
        .map(|(name, value)| (vec![name.as_str()], value))
        .collect();
    while let Some((place, value)) = parts.pop() {
        let opens = matches!(
            place.as_slice(),
            ["Config" | "HostConfig" | "NetworkSettings"]
                | ["NetworkSettings", "Networks"]
                | ["NetworkSettings", "Networks", _]
        );
        match value {
            Value::Object(fields) if opens => {
                parts
                    .extend(fields.iter().map(|(name, value)| ([place.as_slice(), &[name]].concat(), value)));
            }
            value if is_nothing(value) => {}
            value => drop(leaves.insert(place.join(&BETWEEN.to_string()), value.clone())),
        }
    }
    leaves
}

fn is_nothing(value: &Value) -> bool {
    *value == json!(null)
        || *value == json!("")
        || *value == json!([])
        || *value == json!({})
        || *value == json!(false)
}

impl Told<'_> {
    /// The document with what must differ taken out or replaced by a word.
    fn canonical(&self, how: As) -> Value {
        let name = self.document["Name"].as_str().expect("a name").trim_start_matches('/');
        let mut text = self.document.to_string();
        for (id, other) in self.others {
            let word = if other == name && how == As::Further { "OWN" } else { other };
            text = text.replace(id, &format!("ID {word}")).replace(&id[..12], &format!("SHORT {word}"));
        }
        if how == As::Further {
            text =
                text.replace(&format!("\"/{name}\""), "\"NAME\"").replace(&format!("\"{name}\""), "\"NAME\"");
            text = text.replace(&format!(":/{name}/"), ":/NAME/");
        }
        let mut document: Value = serde_json::from_str(&text).expect("still a document");
        volumes(&mut document, how);
        labels(&mut document["Config"]["Labels"], how);
        if how == As::Further {
            document["Config"]["MacAddress"] = json!(null);
        }
        let networks = document["NetworkSettings"]["Networks"].as_object_mut();
        for end in networks.into_iter().flat_map(Map::values_mut) {
            self.end(end, how);
        }
        document
    }

    fn end(&self, end: &mut Value, how: As) {
        if how == As::Further || !self.mac_per_network || made_mac(end).as_ref() == Some(&end["MacAddress"]) {
            end["MacAddress"] = json!(null);
        }
        for list in ["Aliases", "DNSNames"] {
            if let Value::Array(names) = &mut end[list] {
                names.sort_by_key(Value::to_string);
                names.dedup();
            }
        }
    }
}

/// As Docker makes it of the address.
fn made_mac(end: &Value) -> Option<Value> {
    let ip: Ipv4Addr = end["IPAddress"].as_str()?.parse().ok()?;
    let [a, b, c, d] = ip.octets();
    Some(json!(format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}")))
}

fn is_nameless(name: &Value) -> bool {
    let digits = |name: &str| name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.as_str().is_some_and(digits)
}

/// Nameless volumes get a name in a replacement: `Mounts` tells which they are, however they are asked for.
fn volumes(document: &mut Value, how: As) {
    let mut told = document["Mounts"].as_array().cloned().unwrap_or_default();
    for mount in told.iter_mut().filter(|mount| is_nameless(&mount["Name"])) {
        mount["Mode"] = json!("");
        if how == As::Further {
            (mount["Name"], mount["Source"]) = (json!("its own"), json!("its own"));
        }
    }
    told.sort_by_key(|mount| mount["Destination"].to_string());
    document["Mounts"] = json!(told);
    let host = &mut document["HostConfig"];
    if let Value::Array(binds) = &mut host["Binds"] {
        binds.retain(|bind| !is_nameless(&json!(bind.as_str().and_then(|bind| bind.split(':').next()))));
    }
    for mount in host["Mounts"].as_array_mut().into_iter().flatten() {
        if is_nameless(&mount["Source"]) {
            mount.as_object_mut().expect("a mount").remove("Source");
        }
    }
}

/// Ours, and the number of a further replica.
fn labels(labels: &mut Value, how: As) {
    let ours = ["runbook.call", "runbook.from", "runbook.networks", "runbook.overrides", "runbook.replaces"];
    let own = |name: &str| {
        ours.contains(&name) || (how == As::Further && name == "com.docker.compose.container-number")
    };
    if let Value::Object(labels) = labels {
        labels.retain(|name, _| !own(name));
    }
}
