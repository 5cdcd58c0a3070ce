//! Containers that use something of another: its network, its processes, its memory, its volumes.
//!
//! They name the other by its id, which is gone once it was replaced. A copy of them uses the replacement.

use serde_json::json;

use crate::clone::Original;
use crate::daemon::Daemon;
use crate::error::Error;
use crate::labels::{Labels, REPLACES};

/// The steps that replace a container give it this end of its name while its replacement takes the name.
const REPLACED: &str = "-old";

/// Fields of the document that name another container, each with what is used of it.
const MODES: [(&str, &str); 3] =
    [("NetworkMode", "network"), ("IpcMode", "shared memory"), ("PidMode", "processes")];

impl Daemon {
    /// Puts the replacement in the place of each container that the original uses and that is gone.
    pub(crate) async fn find_owners(&self, original: &mut Original) -> Result<(), Error> {
        for (field, what) in MODES {
            let mode = original.host(field).as_str().unwrap_or_default();
            let Some(owner) = mode.strip_prefix("container:").map(str::to_owned) else { continue };
            let now = self.successor(original, &owner, what).await?;
            if now != owner {
                original.set_host(field, json!(format!("container:{now}")));
            }
        }
        let from = original.host("VolumesFrom").as_array().cloned().unwrap_or_default();
        let mut volumes_from = Vec::new();
        for entry in from.iter().filter_map(|entry| entry.as_str()) {
            let (owner, mode) = entry.split_at(entry.find(':').unwrap_or(entry.len()));
            volumes_from.push(format!("{}{mode}", self.successor(original, owner, "volumes").await?));
        }
        if !volumes_from.is_empty() {
            original.set_host("VolumesFrom", json!(volumes_from));
        }
        self.find_linked(original).await
    }

    /// Links of old name the other by its name. Docker goes on telling the last name of one that is gone.
    async fn find_linked(&self, original: &mut Original) -> Result<(), Error> {
        let from = original.host("Links").as_array().cloned().unwrap_or_default();
        let mut links = Vec::new();
        for link in from.iter().filter_map(|link| link.as_str()) {
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            let name = name.trim_start_matches('/');
            // Told as `/OTHER:/OWN/ALIAS`.
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            let now = match self.inspect(name).await {
                Ok(_) => name,
                Err(error) if !error.is_not_found() => return Err(error),
                Err(_) => self.named_like_before(name).await?.ok_or_else(|| gone(original, name, "link"))?,
            };
            links.push(format!("{now}:{alias}"));
        }
        if !links.is_empty() {
            original.set_host("Links", json!(links));
        }
        Ok(())
    }

    /// The name of a replacement, from the last name of what it has replaced.
    async fn named_like_before<'a>(&self, last: &'a str) -> Result<Option<&'a str>, Error> {
        let Some(name) = last.strip_suffix(REPLACED) else { return Ok(None) };
        let found = match self.inspect(name).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(found.labels.iter().any(|(label, _)| label == REPLACES).then_some(name))
    }

    /// The container that is meant by an id or name: itself, or what has taken its place.
    async fn successor(&self, original: &Original, owner: &str, what: &str) -> Result<String, Error> {
        match self.inspect(owner).await {
            Ok(_) => return Ok(owner.to_owned()),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        if let Some(replacement) = self.replacement_of(owner).await? {
            return Ok(replacement);
        }
        let services = original.typed.config.as_ref().and_then(|config| config.labels.as_ref());
        let services = services.map(|labels| Labels(labels).restarts_with()).unwrap_or_default();
        if let [service] = services.as_slice()
            && let [only] = self.service(service).await.unwrap_or_default().as_slice()
        {
            return Ok(only.id.clone());
        }
        let short: String = owner.chars().take(12).collect();
        Err(gone(original, &short, what))
    }

    /// The container that has taken the place of one that is gone.
    async fn replacement_of(&self, id: &str) -> Result<Option<String>, Error> {
        let listed = self.list(Some(REPLACES.to_owned())).await?;
        let replaces =
            |labels: &Labels<'_>| labels.get(REPLACES).is_some_and(|ids| ids.split(',').any(|one| one == id));
        let found = listed.into_iter().find(|one| {
            one.labels.as_ref().is_some_and(|labels| !Labels(labels).one_off() && replaces(&Labels(labels)))
        });
        Ok(found.and_then(|one| one.id))
    }
}

fn gone(original: &Original, owner: &str, what: &str) -> Error {
    let words = format!(
        "`{}` uses the {what} of container `{owner}`, which is gone, and nothing tells what took its place: make it anew from \
         where it is defined (`docker compose up -d --force-recreate SERVICE`)",
        original.name()
    );
    Error::conflict("containers.owner-gone", words)
}
