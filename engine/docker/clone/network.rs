//! The networks of a copy, and how it is reached in them.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::decided::copied;
use super::image::field;
use super::original::{Kind, Object, Original, is_empty};
use crate::name;

/// Docker's own network, on which nobody has a name.
const DEFAULT: &str = "bridge";
/// How Docker begins a MAC address that it makes of an IPv4 address.
const MADE_MAC: [u8; 2] = [0x02, 0x42];

/// One network to join.
#[derive(Debug, PartialEq)]
pub(crate) struct Join {
    /// The network's name.
    pub(crate) network: String,
    pub(crate) end: Object,
}

/// The networks of a copy.
#[derive(Debug, PartialEq)]
pub(crate) struct Networks {
    /// The one it is made with.
    pub(super) first: Option<Join>,
    /// Those that it joins then: daemons before API 1.44 take only one at the making.
    pub(crate) joins: Vec<Join>,
    /// One that Docker gives it by itself and the original has left.
    pub(crate) leaves: Option<String>,
}

/// What marks a network to leave in the label.
const LEAVES: char = '-';

impl Networks {
    /// Of a copy with this name.
    pub(crate) fn of(original: &Original, kind: Kind, name: &str) -> Self {
        let mode = original.network_mode();
        // Without any network at all Docker gives it none that it could leave, whatever the mode says.
        let without = original.config("NetworkDisabled") == &Value::Bool(true);
        if without || matches!(mode, "host" | "none") || original.shares_network() {
            return Self { first: None, joins: Vec::new(), leaves: None };
        }
        let is_first = |network: &str, end: &Object| {
            network == mode || field(end, "NetworkID") == mode || (network == DEFAULT && mode == "default")
        };
        let (mut first, mut joins) = (None, Vec::new());
        for (network, end) in original.networks().filter(|(network, _)| name::is_name(network)) {
            let is_first = is_first(network, end);
            let join = Join {
                network: network.clone(),
                end: end_of(original, (network, end), kind, (name, is_first)),
            };
            if is_first { first = Some(join) } else { joins.push(join) }
        }
        joins.sort_by(|a, b| a.network.cmp(&b.network));
        let given = if mode == "default" { DEFAULT } else { mode };
        let leaves = first.is_none().then(|| given.to_owned());
        Self { first, joins, leaves }
    }

    /// Those that a copy is on.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.first.iter().chain(&self.joins).map(|join| join.network.as_str())
    }

    /// For a label, so that one whose making was interrupted can be completed.
    pub(super) fn label(&self) -> String {
        let leaves = self.leaves.iter().map(|network| format!("{LEAVES}{network}"));
        self.joins.iter().map(|join| join.network.clone()).chain(leaves).collect::<Vec<_>>().join(",")
    }
}

/// Whether a container that is on these networks has all that its label asks for.
pub(crate) fn complete(label: &str, is_on: impl Fn(&str) -> bool) -> bool {
    label.split(',').filter(|network| !network.is_empty()).all(|network| match network.strip_prefix(LEAVES) {
        Some(left) => !is_on(left),
        None => is_on(network),
    })
}

fn end_of(
    original: &Original,
    (network, end): (&str, &Object),
    kind: Kind,
    (name, is_first): (&str, bool),
) -> Object {
    let mut copy = copied(&["NetworkSettings", "Networks", network], end);
    // A one-shot container must not be found under the service's name; Docker's default network has no aliases.
    if kind == Kind::OneShot || network == DEFAULT {
        copy.remove("Aliases");
    } else if let Some(Value::Array(aliases)) = copy.get_mut("Aliases") {
        aliases.retain(|alias| alias != original.short_id());
        if kind == Kind::Further {
            // Compose makes the name of each container an alias of it.
            aliases
                .iter_mut()
                .filter(|alias| **alias == original.name())
                .for_each(|alias| *alias = json!(name));
        }
    }
    if kind == Kind::OneShot {
        copy.remove("IPAMConfig");
    }
    match fixed_mac(original, end, is_first).filter(|_| kind == Kind::Replacement) {
        Some(mac) => drop(copy.insert("MacAddress".to_owned(), mac)),
        None => drop(copy.remove("MacAddress")),
    }
    for derived in ["DNSNames", "NetworkID"] {
        copy.remove(derived);
    }
    copy.retain(|_, value| !is_empty(value));
    copy
}

/// The MAC address that somebody chose. Docker shows the one in use, and tells whether it was chosen only of the first
/// network; one that is not made of the IPv4 address is taken for chosen.
fn fixed_mac(original: &Original, end: &Object, is_first: bool) -> Option<Value> {
    if !original.mac_per_network() {
        return None;
    }
    let chosen = original.config("MacAddress");
    if is_first && !is_empty(chosen) {
        return Some(chosen.clone());
    }
    let used = end.get("MacAddress").filter(|mac| !is_empty(mac))?;
    let address: Option<Ipv4Addr> = field(end, "IPAddress").as_str().and_then(|ip| ip.parse().ok());
    let made = address.map(|ip| {
        let bytes = MADE_MAC.into_iter().chain(ip.octets());
        bytes.map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    });
    (used.as_str().map(str::to_owned) != made).then(|| used.clone())
}

/// A fixed address of the original: network and address.
pub(super) fn fixed_address(original: &Original) -> Option<(&str, &str)> {
    original.networks().find_map(|(network, end)| {
        let address = |name| end.get("IPAMConfig")?.get(name)?.as_str().filter(|text| !text.is_empty());
        Some((network.as_str(), address("IPv4Address").or_else(|| address("IPv6Address"))?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original(mode: &str, networks: &Value, api: (usize, usize)) -> Original {
        let document = json!({
            "Id": format!("{:064x}", 7), "Name": "/web-1", "HostConfig": { "NetworkMode": mode },
            "Config": { "Labels": {} }, "NetworkSettings": { "Networks": networks },
        });
        Original::new(document, Some(api)).unwrap()
    }

    #[test]
    fn a_network_that_was_left_is_left_again() {
        let networks = json!({ "back": { "Aliases": ["web", "000000000000"] } });
        let networks = Networks::of(&original("default", &networks, (1, 45)), Kind::Replacement, "web-1");
        assert_eq!((networks.first.is_none(), networks.leaves.as_deref()), (true, Some("bridge")));
        assert_eq!(networks.joins[0].end, *json!({ "Aliases": ["web"] }).as_object().unwrap());
        assert_eq!(networks.label(), "back,-bridge");
        assert!(complete(&networks.label(), |network| network == "back"));
        assert!(!complete(&networks.label(), |_| true) && !complete(&networks.label(), |_| false));
    }

    #[test]
    fn a_container_without_a_network_has_none_to_leave() {
        let document = json!({
            "Id": format!("{:064x}", 7), "Name": "/web-1", "HostConfig": { "NetworkMode": "default" },
            "Config": { "Labels": {}, "NetworkDisabled": true }, "NetworkSettings": { "Networks": {} },
        });
        let original = Original::new(document, Some((1, 45))).unwrap();
        assert_eq!(Networks::of(&original, Kind::Further, "web-2").leaves, None);
    }

    #[test]
    fn a_chosen_mac_address_goes_to_a_replacement_only() {
        let end = |mac: &str| json!({ "a": { "MacAddress": mac, "IPAddress": "172.18.0.2" } });
        let mac = |mac, kind, api| {
            let original = original("none-of-these", &end(mac), api);
            Networks::of(&original, kind, "web-2").joins[0].end.get("MacAddress").cloned()
        };
        let (chosen, made) = ("02:42:ac:11:aa:02", "02:42:ac:12:00:02");
        assert_eq!(mac(chosen, Kind::Replacement, (1, 45)), Some(json!(chosen)));
        assert_eq!(mac(chosen, Kind::Further, (1, 45)), None);
        assert_eq!(mac(made, Kind::Replacement, (1, 45)), None);
        assert_eq!(mac(chosen, Kind::Replacement, (1, 41)), None, "there it is no setting");
    }

    #[test]
    fn a_further_replica_has_its_own_name_for_an_alias() {
        let networks = json!({ "a": { "Aliases": ["web-1", "web"] } });
        let networks = Networks::of(&original("a", &networks, (1, 45)), Kind::Further, "web-2");
        assert_eq!(networks.first.unwrap().end["Aliases"], json!(["web-2", "web"]));
    }
}
