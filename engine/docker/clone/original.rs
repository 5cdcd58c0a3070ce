//! The container that is copied, as the daemon's own document has it.

use bollard::models::ContainerInspectResponse;
use serde_json::{Map, Value};

use crate::connection::ApiVersion;
use crate::labels::Labels;
use crate::types::Overrides;

/// A part of a document.
pub(crate) type Object = Map<String, Value>;

/// How much of its id Docker makes a container's host name and alias.
const SHORT_ID_CHARS: usize = 12;
/// Since this version the MAC address is a setting of each network, not of the container.
const MAC_PER_NETWORK: ApiVersion = (1, 44);

/// See the module.
#[derive(Debug)]
pub(crate) struct Original {
    raw: Value,
    /// The same in the library's types, which lack what they do not know.
    pub(crate) typed: ContainerInspectResponse,
    /// The version of the interface that the document was told in.
    api: Option<ApiVersion>,
}

/// What a copy is to its original.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Takes its place: it starts after the original has stopped.
    Replacement,
    /// Stands beside it.
    Further,
    /// Does one task and is no part of the service.
    OneShot,
}

impl Original {
    pub(crate) fn new(raw: Value, api: Option<ApiVersion>) -> Result<Self, serde_json::Error> {
        let typed = serde_json::from_value(raw.clone())?;
        Ok(Self { raw, typed, api })
    }

    pub(crate) fn id(&self) -> &str {
        self.raw["Id"].as_str().unwrap_or_default()
    }

    /// As Docker makes it a host name and an alias.
    pub(super) fn short_id(&self) -> &str {
        self.id().get(..SHORT_ID_CHARS).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.raw["Name"].as_str().unwrap_or_default().trim_start_matches('/')
    }

    pub(super) fn part(&self, name: &str) -> Object {
        self.raw[name].as_object().cloned().unwrap_or_default()
    }

    pub(crate) fn host(&self, field: &str) -> &Value {
        &self.raw["HostConfig"][field]
    }

    pub(crate) fn config(&self, field: &str) -> &Value {
        &self.raw["Config"][field]
    }

    pub(crate) fn set_host(&mut self, field: &str, value: Value) {
        self.raw["HostConfig"][field] = value;
    }

    pub(super) fn mounts(&self) -> impl Iterator<Item = &Value> {
        self.raw["Mounts"].as_array().into_iter().flatten()
    }

    /// The networks it is on, by name.
    pub(super) fn networks(&self) -> impl Iterator<Item = (&String, &Object)> {
        let networks = self.raw["NetworkSettings"]["Networks"].as_object();
        networks.into_iter().flatten().filter_map(|(name, end)| Some((name, end.as_object()?)))
    }

    /// `default`, `host`, `none`, `container:ID`, or a network by name or id.
    pub(super) fn network_mode(&self) -> &str {
        match self.host("NetworkMode").as_str() {
            None | Some("") => "default",
            Some(mode) => mode,
        }
    }

    /// Whether it uses the network of another container, and so has no name, port or address of its own.
    pub(super) fn shares_network(&self) -> bool {
        self.network_mode().starts_with("container:")
    }

    pub(super) fn mac_per_network(&self) -> bool {
        self.api.is_some_and(|version| version >= MAC_PER_NETWORK)
    }

    pub(crate) fn kind(&self, overrides: &Overrides) -> Kind {
        let labels = self.typed.config.as_ref().and_then(|config| config.labels.as_ref());
        if overrides.one_shot {
            Kind::OneShot
        } else if labels.map_or(0, |labels| Labels(labels).replica()) == overrides.replica {
            Kind::Replacement
        } else {
            Kind::Further
        }
    }
}

/// Nothing, however it is written.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
