//! The daemon's own document of a container, for people who look for a cause: without what may be secret.

use serde_json::Value;

use crate::daemon::Daemon;
use crate::error::Error;
use words::effect::FailureKind;

/// The largest document.
const MAX_BYTES: usize = 256 << 10;
/// What stands where a value was.
const REMOVED: &str = "(removed)";

impl Daemon {
    /// JSON. Of environment variables only the names; no options of log and volume drivers, which hold tokens and
    /// passwords.
    pub async fn document(&self, id: &str) -> Result<String, Error> {
        let raw = self.raw(id).await?;
        let mut document = serde_json::to_value(&raw).map_err(|error| {
            Error::certain(FailureKind::Internal, "containers.document", format!("not a document: {error}"))
        })?;
        remove_values(&mut document);
        let mut text = document.to_string();
        if text.len() > MAX_BYTES {
            // The outputs of the last health checks are by far the largest part that can do without.
            if let Some(log) = document.pointer_mut("/State/Health/Log") {
                *log = Value::String(REMOVED.to_owned());
            }
            text = document.to_string();
        }
        if text.len() > MAX_BYTES {
            let message = format!("the document of container `{id}` is larger than {MAX_BYTES} bytes");
            return Err(Error::certain(FailureKind::Exhausted, "containers.document-too-large", message));
        }
        Ok(text)
    }
}

fn remove_values(document: &mut Value) {
    if let Some(Value::Array(env)) = document.pointer_mut("/Config/Env") {
        for variable in env {
            let name = variable.as_str().and_then(|text| text.split('=').next()).unwrap_or_default();
            *variable = Value::String(name.to_owned());
        }
    }
    for map in ["/HostConfig/LogConfig/Config", "/HostConfig/StorageOpt"] {
        blank(document, map);
    }
    if let Some(Value::Array(mounts)) = document.pointer_mut("/HostConfig/Mounts") {
        for mount in mounts {
            blank(mount, "/VolumeOptions/DriverConfig/Options");
        }
    }
}

fn blank(document: &mut Value, pointer: &str) {
    if let Some(Value::Object(map)) = document.pointer_mut(pointer) {
        for value in map.values_mut() {
            *value = Value::String(REMOVED.to_owned());
        }
    }
}
