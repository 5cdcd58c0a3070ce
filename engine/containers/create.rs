//! New containers from old ones, and finding them again after a crash.

use std::time::Duration;

use bollard::Docker;
use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum, NetworkConnectRequest,
};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use tokio::time::Instant;

use crate::containers::clone::{self, Image, Join};
use crate::containers::container::port;
use crate::containers::daemon::{Daemon, read, write};
use crate::containers::error::{Error, is_away};
use crate::containers::files::NewSecrets;
use crate::containers::labels::{CALL, Labels, NETWORKS, ORIGIN};
use crate::containers::name::{check_container, is_id};
use crate::containers::overrides;
use crate::containers::types::{Container, Overrides, State};
use crate::model::effect::FailureKind;

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
        clone::check(overrides)?;
        let origin = self.raw(from).await?;
        if !overrides.one_shot {
            self.refuse_clash(&origin, clone::is_replacement(&origin, overrides)).await?;
        }
        let image = self.image_for(&origin, overrides.image.as_deref()).await?;
        self.refuse_removing_what_the_image_brings(&image.name, overrides).await?;
        let mut clone = clone::clone(&origin, image, overrides, call_key)?;
        clone.add_env(secrets);
        clone.note_overrides(self.digest_of(overrides, secrets).await?);
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let create =
            async |docker: Docker| docker.create_container(Some(options.clone()), clone.body.clone()).await;
        let id = match self.ask(write("create container", name), create).await {
            Ok(made) => made.id,
            Err(error) if error.failure.kind == FailureKind::AlreadyExists => {
                let ours =
                    Box::pin(self.created_by_call(name, call_key)).await.map_err(Error::after_change)?;
                let ours = ours.ok_or(error)?;
                self.put_files(&ours, &secrets.files).await.map_err(Error::after_change)?;
                return Ok(ours);
            }
            Err(error) => return Err(error),
        };
        if let Err(error) = self.join(&id, &clone.joins).await {
            return Err(self.take_back(&id, error).await);
        }
        let made = self.inspect(&id).await.map_err(Error::after_change)?;
        self.inherit(&self.narrow(origin), &made).await;
        if let Err(error) = self.put_files(&made, &secrets.files).await {
            return Err(self.take_back(&id, error).await);
        }
        Ok(made)
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
        let deadline = Instant::now() + CREATION;
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
                Err(_) if Instant::now() >= deadline => return Ok(None),
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
        let has = |network: &str| {
            let ends = raw.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
            ends.is_some_and(|ends| ends.contains_key(network))
        };
        let wanted = labels.get(NETWORKS).unwrap_or_default();
        if wanted.split(',').filter(|network| !network.is_empty()).all(has) {
            return Ok(Some(found));
        }
        let origin = match self.raw(labels.get(ORIGIN).unwrap_or_default()).await {
            Ok(origin) => origin,
            // Nobody knows any more how to complete it: as if it had never been made.
            Err(error) if error.is_not_found() => return self.remove(&found.id, true).await.map(|()| None),
            Err(error) => return Err(error),
        };
        let (_, mut joins) =
            clone::networks(&origin, &origin.host_config.clone().unwrap_or_default(), labels.one_off());
        joins.retain(|join| !has(&join.network));
        self.join(&found.id, &joins).await?;
        self.inspect(&found.id).await.map(Some)
    }

    /// The content id of an image that is on the daemon's machine, by which a plan pins it.
    pub async fn image_id(&self, image: &str) -> Result<String, Error> {
        self.image(image).await.map(|image| image.id.unwrap_or_default())
    }

    async fn image(&self, image: &str) -> Result<bollard::models::ImageInspect, Error> {
        if !clone::is_image(image) {
            let shown = image.escape_default();
            return Err(Error::invalid("containers.image", format!("`{shown}` is not the name of an image")));
        }
        let asked = async |docker: Docker| docker.inspect_image(image).await;
        self.ask(read("find image", image), asked).await.map_err(|mut error| {
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
    async fn known_image(&self, image: &str) -> Result<Option<bollard::models::ImageInspect>, Error> {
        match self.image(image).await {
            Ok(image) => Ok(Some(image)),
            Err(error) if is_away(&error.failure) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The image asked for, else that of the original: by its name where the name still means the same, else by id.
    async fn image_for(
        &self,
        origin: &ContainerInspectResponse,
        wanted: Option<&str>,
    ) -> Result<Image, Error> {
        let old_id = origin.image.clone().unwrap_or_default();
        let old_name = origin.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
        if let Some(wanted) = wanted {
            if self.image(wanted).await?.id.as_ref() != Some(&old_id) {
                let replaces = self.known_image(&old_id).await?.and_then(|old| old.config);
                return Ok(Image { name: wanted.to_owned(), replaces });
            }
            return Ok(Image { name: wanted.to_owned(), replaces: None });
        }
        let named = self.known_image(&old_name).await?;
        let same = named.is_some_and(|image| image.id.as_ref() == Some(&old_id));
        Ok(Image { name: if same { old_name } else { old_id }, replaces: None })
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
        let brought = self.image(image).await?.config.unwrap_or_default();
        let variables = brought.env.unwrap_or_default();
        let is_set = |name: &&String| variables.iter().any(|v| v.split('=').next() == Some(name.as_str()));
        let is_label =
            |name: &&String| brought.labels.as_ref().is_some_and(|l| l.contains_key(name.as_str()));
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

    /// A fixed host port, or a fixed address, can be held by one running container only.
    async fn refuse_clash(&self, origin: &ContainerInspectResponse, replacement: bool) -> Result<(), Error> {
        let running: Vec<ContainerSummary> = self
            .list(None)
            .await?
            .into_iter()
            .filter(|one| one.state == Some(ContainerSummaryStateEnum::RUNNING))
            .filter(|one| !replacement || one.id != origin.id)
            .collect();
        if let Some(clash) = port_clash(origin, &running).or_else(|| address_clash(origin, &running)) {
            return Err(Error::conflict("containers.clash", clash));
        }
        Ok(())
    }

    async fn join(&self, id: &str, joins: &[Join]) -> Result<(), Error> {
        for Join { network, end } in joins {
            let request =
                NetworkConnectRequest { container: id.to_owned(), endpoint_config: Some(end.clone()) };
            let connect = async |docker: Docker| docker.connect_network(network, request.clone()).await;
            self.ask(write("join network", network), connect).await?;
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

fn name_in(summary: &ContainerSummary) -> &str {
    let first = summary.names.as_ref().and_then(|names| names.first());
    first.map_or("?", |name| name.trim_start_matches('/'))
}

fn port_clash(origin: &ContainerInspectResponse, running: &[ContainerSummary]) -> Option<String> {
    let bindings = origin.host_config.as_ref()?.port_bindings.as_ref()?;
    for (inside, asked) in bindings {
        let Some((_, protocol)) = port(inside) else { continue };
        for asked in asked.iter().flatten() {
            let Some(number) = asked.host_port.as_ref().and_then(|port| port.parse::<u16>().ok()) else {
                continue;
            };
            let taken = |one: &&ContainerSummary| {
                one.ports.iter().flatten().any(|given| {
                    given.public_port == Some(number)
                        && given.typ.is_none_or(|kind| kind.to_string() == protocol)
                        && same_address(asked.host_ip.as_deref(), given.ip.as_deref())
                })
            };
            if let Some(holder) = running.iter().filter(|_| number != 0).find(taken) {
                return Some(format!(
                    "host port {number}/{protocol} is fixed and in use by running container `{}`: a clone of `{}` could \
                     not start; let Docker choose the port, or put a proxy before the replicas",
                    name_in(holder),
                    origin.name.as_deref().unwrap_or_default().trim_start_matches('/'),
                ));
            }
        }
    }
    None
}

fn same_address(one: Option<&str>, other: Option<&str>) -> bool {
    let all = |ip: Option<&str>| matches!(ip, None | Some("" | "0.0.0.0" | "::"));
    all(one) || all(other) || one == other
}

fn address_clash(origin: &ContainerInspectResponse, running: &[ContainerSummary]) -> Option<String> {
    let runs = running.iter().any(|one| one.id == origin.id);
    let ends = origin.network_settings.as_ref()?.networks.as_ref()?;
    let fixed = ends.iter().find_map(|(network, end)| {
        let ipam = end.ipam_config.as_ref()?;
        let address = ipam.ipv4_address.as_ref().or(ipam.ipv6_address.as_ref())?;
        (!address.is_empty()).then_some((network, address))
    });
    let (network, address) = fixed.filter(|_| runs)?;
    Some(format!(
        "address {address} on network `{network}` is fixed and in use by running container `{}`: a clone could not \
         start",
        origin.name.as_deref().unwrap_or_default().trim_start_matches('/'),
    ))
}
