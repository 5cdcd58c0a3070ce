//! What an image brings, and what a container has of its own.

use serde_json::{Value, json};

use super::original::{Object, is_empty};

/// Which image the new container has.
#[derive(Debug)]
pub(crate) struct Image {
    /// As Docker is asked for it.
    pub(crate) name: String,
    /// Its content id.
    pub(crate) id: String,
    /// What the image of the original brought.
    pub(crate) old: Object,
    /// The content id of that one; the same, if the new container has no other.
    pub(crate) old_id: String,
}

/// Parts of a health check that an image may bring.
const HEALTH: [&str; 6] = ["Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"];

impl Image {
    /// An inspected config holds what its image brought; with another image, the other's must apply instead.
    pub(super) fn apply(&self, config: &mut Object) {
        config.insert("Image".to_owned(), json!(self.name));
        let taken_away = is_empty(field(config, "Entrypoint")) && !is_empty(field(&self.old, "Entrypoint"));
        if self.id != self.old_id {
            self.forget_old(config, taken_away);
        }
        if taken_away {
            // Nothing at all would bring the image's back.
            config.insert("Entrypoint".to_owned(), json!([""]));
        }
    }

    fn forget_old(&self, config: &mut Object, taken_away: bool) {
        let old = &self.old;
        forget_pairs(config, old);
        for name in ["WorkingDir", "User", "StopSignal", "Shell", "OnBuild"] {
            forget(config, old, name);
        }
        self.forget_health(config);
        // Who chose the entry point has the command that goes with it, also where it reads like the image's.
        let chosen = taken_away
            || !same(field(config, "Entrypoint"), field(old, "Entrypoint"))
            || (is_empty(field(config, "Cmd")) && !is_empty(field(old, "Cmd")));
        if !chosen {
            config.remove("Entrypoint");
            forget(config, old, "Cmd");
        }
        // Compose's own note of which image it is.
        if let Some(Value::Object(labels)) = config.get_mut("Labels")
            && let Some(noted) = labels.get_mut(COMPOSE_IMAGE)
            && *noted == json!(self.old_id)
        {
            *noted = json!(self.id);
        }
    }

    /// Each part by itself: a container may have chosen one and left the others to its image.
    fn forget_health(&self, config: &mut Object) {
        let Some(Value::Object(check)) = config.get_mut("Healthcheck") else { return };
        let Value::Object(old) = field(&self.old, "Healthcheck") else { return };
        for part in HEALTH {
            forget(check, old, part);
        }
        if check.is_empty() {
            config.remove("Healthcheck");
        }
    }
}

/// Compose's label of the image's content id.
const COMPOSE_IMAGE: &str = "com.docker.compose.image";

pub(super) fn field<'a>(of: &'a Object, name: &str) -> &'a Value {
    of.get(name).unwrap_or(&Value::Null)
}

fn same(one: &Value, other: &Value) -> bool {
    one == other || (is_empty(one) && is_empty(other))
}

fn forget(config: &mut Object, old: &Object, name: &str) {
    if same(field(config, name), field(old, name)) {
        config.remove(name);
    }
}

/// Of lists and maps, what the image brought.
fn forget_pairs(config: &mut Object, old: &Object) {
    if let (Some(Value::Array(env)), Value::Array(old)) = (config.get_mut("Env"), field(old, "Env")) {
        env.retain(|variable| !old.contains(variable));
    }
    for name in ["Labels", "ExposedPorts", "Volumes"] {
        if let (Some(Value::Object(own)), Value::Object(old)) = (config.get_mut(name), field(old, name)) {
            own.retain(|key, value| old.get(key) != Some(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(own: &Value, old: &Value) -> Value {
        let mut config = own.as_object().unwrap().clone();
        let old = old.as_object().unwrap().clone();
        let image = Image { name: "new:1".to_owned(), id: "b".to_owned(), old, old_id: "a".to_owned() };
        image.apply(&mut config);
        config.remove("Image");
        Value::Object(config)
    }

    #[test]
    fn a_command_goes_with_its_entry_point() {
        let old = json!({ "Entrypoint": ["env"], "Cmd": ["serve"] });
        for (own, new) in [
            (json!({ "Entrypoint": ["env"], "Cmd": ["serve"] }), json!({})),
            (json!({ "Entrypoint": ["env"], "Cmd": ["other"] }), json!({ "Cmd": ["other"] })),
            (
                json!({ "Entrypoint": ["/own"], "Cmd": ["serve"] }),
                json!({ "Entrypoint": ["/own"], "Cmd": ["serve"] }),
            ),
            (
                json!({ "Entrypoint": null, "Cmd": ["serve"] }),
                json!({ "Entrypoint": [""], "Cmd": ["serve"] }),
            ),
            (json!({ "Entrypoint": ["env"], "Cmd": null }), json!({ "Entrypoint": ["env"], "Cmd": null })),
        ] {
            assert_eq!(applied(&own, &old), new, "{own}");
        }
    }

    #[test]
    fn each_part_of_a_health_check_is_the_images_or_the_containers() {
        let old = json!({ "Healthcheck": { "Test": ["CMD", "a"], "Interval": 5, "Retries": 3 } });
        let own = json!({ "Healthcheck": { "Test": ["CMD", "a"], "Interval": 9, "Retries": 3 } });
        assert_eq!(applied(&own, &old), json!({ "Healthcheck": { "Interval": 9 } }));
        let none = json!({ "Healthcheck": { "Test": ["NONE"] } });
        assert_eq!(applied(&none, &old), none);
    }

    #[test]
    fn composes_note_of_the_image_follows() {
        let noted = |id: &str| json!({ "Labels": { "com.docker.compose.image": id } });
        assert_eq!(applied(&noted("a"), &json!({})), noted("b"));
        assert_eq!(applied(&noted("x"), &json!({})), noted("x"));
    }
}
