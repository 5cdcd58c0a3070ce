//! New containers from old ones, and finding them again after a crash.

use std::time::Duration;

use bollard::Docker;
use bollard::models::NetworkDisconnectRequest;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use serde_json::{Value, json};

use crate::clone::{self, Image, Join, Kind, Mark, Networks, Object, Original};
use crate::daemon::{Daemon, read, write};
use crate::error::{Error, is_away};
use crate::exchange::Exchange;
use crate::files::NewSecrets;
use crate::labels::{CALL, Labels, NETWORKS, ORIGIN};
use crate::name::{check_container, is_id};
use crate::overrides;
use crate::types::{Container, Overrides, State};
use words::clock::Deadline;
use words::effect::FailureKind;

/// How long a daemon may take to create a container.
const CREATION: Duration = Duration::from_secs(10);
/// The pause between two looks for one that is being created.
const PAUSE: Duration = Duration::from_millis(100);

impl Daemon {
    /// A new container, not started, with the spec of `from`. With the replica number of the original it is meant to
    /// take its place: then it may ask for the same host ports, and takes over volumes without a name. It carries the
    /// key of the call as a label, by which [`Daemon::find_by_call`] finds it; one found so may lack its files still.
    #[expect(clippy::too_many_arguments, reason = "what makes a container, each of another kind")]
    pub async fn create(
        &self,
        from: &str,
        name: &str,
        overrides: &Overrides,
        secrets: &NewSecrets,
        call_key: &str,
    ) -> Result<Container, Error> {
        check_container(name)?;
        let (original, image) = self.copyable(from, overrides, |_| false).await?;
        let mut clone = clone::clone(&original, &image, overrides, Mark { name, call_key });
        clone.add_env(secrets);
        clone.note_overrides(self.digest_of(overrides, secrets).await?);
        let path = format!("/containers/create?name={name}");
        let request = Exchange::post(path, &Value::Object(clone.body));
        let id = match self.exchange(write("create container", name), request).await {
            Ok(made) => made["Id"].as_str().unwrap_or_default().to_owned(),
            Err(error) if error.failure.kind == FailureKind::AlreadyExists => {
                let ours =
                    Box::pin(self.created_by_call(name, call_key)).await.map_err(Error::after_change)?;
                let ours = ours.ok_or(error)?;
                self.put_files(&ours, &secrets.files).await.map_err(Error::after_change)?;
                return Ok(ours);
            }
            Err(error) => return Err(error),
        };
        if let Err(error) = self.complete(&id, &clone.networks).await {
            return Err(self.take_back(&id, error).await);
        }
        let made = self.inspect(&id).await.map_err(Error::after_change)?;
        self.inherit(&self.narrow(original.typed), &made).await;
        if let Err(error) = self.put_files(&made, &secrets.files).await {
            return Err(self.take_back(&id, error).await);
        }
        Ok(made)
    }

    /// Refuses what [`Daemon::create`] would refuse, and makes nothing. Running containers that `leave` are taken for gone.
    pub async fn refuse_uncopyable(
        &self,
        from: &str,
        overrides: &Overrides,
        leave: impl Fn(&str) -> bool,
    ) -> Result<(), Error> {
        self.copyable(from, overrides, leave).await.map(drop)
    }

    async fn copyable(
        &self,
        from: &str,
        overrides: &Overrides,
        leave: impl Fn(&str) -> bool,
    ) -> Result<(Original, Image), Error> {
        clone::check(overrides)?;
        let mut original = self.original(from).await?;
        let kind = original.kind(overrides);
        clone::refuse_impossible(&original, kind)?;
        if kind != Kind::OneShot {
            self.refuse_clash(&original, kind, leave).await?;
        }
        self.find_owners(&mut original).await?;
        self.refuse_lost_network(&original, kind).await?;
        let image = self.image_for(&original, overrides.image.as_deref()).await?;
        self.refuse_removing_what_the_image_brings(&image.name, overrides).await?;
        Ok((original, image))
    }

    /// The daemon's document of a container that is copied.
    async fn original(&self, id: &str) -> Result<Original, Error> {
        let id = self.raw(id).await?.id.unwrap_or_default();
        let call = read("inspect container", &id);
        let raw = self.exchange(call, Exchange::get(format!("/containers/{id}/json"))).await?;
        Original::new(raw, self.api_version().await?).map_err(|error| {
            Error::certain(FailureKind::Internal, "containers.document", format!("not a document: {error}"))
        })
    }

    /// A network can be removed while a container that is on it does not run.
    async fn refuse_lost_network(&self, original: &Original, kind: Kind) -> Result<(), Error> {
        let networks = Networks::of(original, kind, original.name());
        for network in networks.names() {
            let look = async |docker: Docker| docker.inspect_network(network, None).await;
            match self.ask(read("find network", network), look).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {
                    let words = format!(
                        "`{}` is on network `{network}`, which is gone: no copy of it could start; make the network anew \
                         (`docker network create {network}`)",
                        original.name()
                    );
                    return Err(Error::conflict("containers.network-gone", words));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Secrets are not part of it: a container that gets some is never taken for one that has them already.
    async fn digest_of(&self, overrides: &Overrides, secrets: &NewSecrets) -> Result<Option<String>, Error> {
        if !secrets.env.is_empty() || !secrets.files.is_empty() {
            return Ok(None);
        }
        let image_id = match &overrides.image {
            Some(image) => Some(self.image_id(image).await?),
            None => None,
        };
        Ok(overrides::digest(overrides, image_id.as_deref()))
    }

    /// The container that has taken the name, if an earlier request of this very call is creating it. The daemon takes
    /// the name first and shows the container later.
    async fn created_by_call(&self, name: &str, call_key: &str) -> Result<Option<Container>, Error> {
        let deadline = Deadline::after(CREATION);
        let mut seen = false;
        loop {
            let holder = self.inspect(name).await;
            if let Some(made) = self.find_by_call(call_key).await? {
                return Ok(Some(made));
            }
            match holder {
                // It is in the daemon's lists a moment after it can be looked at.
                Ok(_) if seen => return Ok(None),
                Ok(_) => seen = true,
                Err(error) if !error.is_not_found() => return Err(error),
                Err(_) if deadline.passed() => return Ok(None),
                Err(_) => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The container that this call created, if it did. One that a crash left without some of its networks is
    /// completed first, or removed if the original is gone too; it has not been started yet.
    pub async fn find_by_call(&self, call_key: &str) -> Result<Option<Container>, Error> {
        // The daemon's whole documents are held here: too much for every future that waits for this one.
        Box::pin(self.made_by_call(call_key)).await
    }

    async fn made_by_call(&self, call_key: &str) -> Result<Option<Container>, Error> {
        let Some(found) = self.labelled(CALL, call_key).await?.into_iter().next() else { return Ok(None) };
        if found.state != State::Created {
            return Ok(Some(found));
        }
        let raw = self.raw(&found.id).await?;
        let labels = raw.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default();
        let labels = Labels(&labels);
        let is_on = |network: &str| {
            let ends = raw.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
            ends.is_some_and(|ends| ends.contains_key(network))
        };
        if clone::complete(labels.get(NETWORKS).unwrap_or_default(), is_on) {
            return Ok(Some(found));
        }
        let original = match self.original(labels.get(ORIGIN).unwrap_or_default()).await {
            Ok(original) => original,
            // Nobody knows any more how to complete it: as if it had never been made.
            Err(error) if error.is_not_found() => return self.remove(&found.id, true).await.map(|()| None),
            Err(error) => return Err(error),
        };
        let asked =
            Overrides { one_shot: labels.one_off(), replica: labels.replica(), ..Overrides::default() };
        let mut networks = Networks::of(&original, original.kind(&asked), &found.name);
        networks.joins.retain(|join| !is_on(&join.network));
        networks.leaves = networks.leaves.filter(|network| is_on(network));
        self.complete(&found.id, &networks).await?;
        self.inspect(&found.id).await.map(Some)
    }

    /// The content id of an image that is on the daemon's machine, by which a plan pins it.
    pub async fn image_id(&self, image: &str) -> Result<String, Error> {
        self.image(image).await.map(|image| text(&image["Id"]))
    }

    async fn image(&self, image: &str) -> Result<Value, Error> {
        if !clone::is_image(image) {
            let shown = image.escape_default();
            return Err(Error::invalid("containers.image", format!("`{shown}` is not the name of an image")));
        }
        let request = Exchange::get(format!("/images/{image}/json"));
        self.exchange(read("find image", image), request).await.map_err(|mut error| {
            if error.is_not_found() {
                "containers.image-not-found".clone_into(&mut error.failure.code);
                error.failure.message = format!(
                    "image `{image}` is not on the daemon's machine; pull it there (`docker pull {image}`)"
                );
            }
            error
        })
    }

    /// None if there is none of that name; a daemon that gives no answer has not said so.
    async fn known_image(&self, image: &str) -> Result<Option<Value>, Error> {
        match self.image(image).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if is_away(&error.failure) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The image asked for, else that of the original: by its name where the name still means the same, else by id.
    async fn image_for(&self, original: &Original, wanted: Option<&str>) -> Result<Image, Error> {
        let old_id = original.typed.image.clone().unwrap_or_default();
        let old = brought(&self.image(&old_id).await?);
        let old_name = original.config("Image").as_str().unwrap_or_default();
        let found = match wanted {
            Some(wanted) => Some(self.image(wanted).await?),
            // Its name was removed, or was never one: `docker run ID`.
            None => self.known_image(old_name).await?,
        };
        let (name, id) = match found.map(|image| text(&image["Id"])) {
            Some(id) if wanted.is_some() || id == old_id => (wanted.unwrap_or(old_name).to_owned(), id),
            _ => (old_id.clone(), old_id.clone()),
        };
        Ok(Image { name, id, old, old_id })
    }

    /// What an image brings comes back with every container of it: it can be set to something else, not taken away.
    async fn refuse_removing_what_the_image_brings(
        &self,
        image: &str,
        overrides: &Overrides,
    ) -> Result<(), Error> {
        let removed = |changes: &[String]| -> Vec<String> {
            changes.iter().filter(|change| !change.contains('=')).cloned().collect()
        };
        let (env, labels) = (removed(&overrides.env), removed(&overrides.labels));
        if env.is_empty() && labels.is_empty() {
            return Ok(());
        }
        let config = &self.image(image).await?["Config"];
        let variables: Vec<&str> =
            config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_set = |name: &&String| variables.iter().any(|v| v.split('=').next() == Some(name.as_str()));
        let is_label = |name: &&String| config["Labels"].get(name.as_str()).is_some();
        match env.iter().find(is_set).or_else(|| labels.iter().find(is_label)) {
            None => Ok(()),
            Some(name) => {
                let shown = name.escape_debug();
                let words = format!(
                    "`{shown}` comes from image `{image}`: give it another value, it cannot be removed"
                );
                Err(Error::invalid("containers.of-image", words))
            }
        }
    }

    /// Gives a container that was just made the networks that it could not be made with.
    async fn complete(&self, id: &str, networks: &Networks) -> Result<(), Error> {
        if let Some(network) = &networks.leaves {
            let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(false) };
            let leave = async |docker: Docker| docker.disconnect_network(network, request.clone()).await;
            self.ask(write("leave network", network), leave).await?;
        }
        for Join { network, end } in &networks.joins {
            let body = json!({ "Container": id, "EndpointConfig": end });
            let request = Exchange::post(format!("/networks/{network}/connect"), &body);
            self.exchange(write("join network", network), request).await?;
        }
        Ok(())
    }

    /// A container that could not be completed is removed again; it never ran. If that works, nothing has changed.
    async fn take_back(&self, id: &str, error: Error) -> Error {
        assert!(is_id(id), "the daemon names what it creates by a whole id");
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let remove = async |docker: Docker| docker.remove_container(id, Some(options.clone())).await;
        let removed = self.ask(write("remove container", id), remove).await;
        Error { certain: removed.is_ok(), ..error }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What an image brings to its containers.
fn brought(image: &Value) -> Object {
    image["Config"].as_object().cloned().unwrap_or_default()
}
