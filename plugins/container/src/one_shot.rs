//! `container.run`: a command in a container of its own, cloned from a replica and removed afterwards.

use std::collections::BTreeMap;

use runbook_plugin::{
    Condition, Container, Context, Deserialize, Duration, Error, ErrorKind, ExecOutput, Host, JsonSchema,
    Overrides, SecretName, Step, select,
};

use crate::{Output, handles, zero};

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "run",
        "Run a command in a one-shot container with the image, environment and volumes of a service.",
        &["containers.read", "containers.create", "containers.start", "containers.remove"],
        run,
    )]
}

/// How many lines of a one-shot container's logs are its output.
const OUTPUT_LINES: u32 = 10_000;

/// The input of `container.run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = runbook_plugin::rule::one_of(&["service", "container"])))]
#[schemars(extend("apart" = ["env", "secret_env"]))]
pub(crate) struct Input {
    /// `project/service` whose spec is used.
    #[schemars(extend("format" = "service-name"))]
    service: Option<String>,
    /// Or one container by name or id; it need not run.
    #[schemars(extend("format" = "container-name"))]
    container: Option<String>,
    /// The program and its arguments; no shell reads them.
    #[schemars(length(min = 1), extend("prefixItems" = [{ "type": "string", "minLength": 1 }]))]
    command: Vec<String>,
    /// Environment variables, added to those of the service.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "variable-name" }))]
    env: BTreeMap<String, String>,
    /// Environment variables whose values are secrets: `PASSWORD: db/password`. The engine puts them in; this plugin never
    /// sees them.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16, "propertyNames" = { "format": "variable-name" }))]
    secret_env: BTreeMap<String, SecretName>,
    /// Files whose content are secrets, by absolute path: readable by the user of the container alone.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16, "propertyNames" = { "format": "file-path" }))]
    secret_files: BTreeMap<String, SecretName>,
    /// Whom it runs as, `user`, `uid` or `uid:gid`; else the user of the service.
    #[schemars(length(min = 1, max = 256))]
    #[schemars(extend("format" = "user-name"))]
    user: Option<String>,
    /// The absolute path it runs in; else the working directory of the service.
    #[schemars(regex(pattern = "^/"))]
    #[schemars(extend("format" = "workdir-path"))]
    workdir: Option<String>,
    /// How long it may take.
    #[serde(default = "ten_minutes")]
    #[schemars(extend("atMost" = "1h"))]
    timeout: Duration,
    /// The exit code that is right; `null`: any.
    #[serde(default = "zero")]
    expect_exit: Option<i32>,
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

/// A command and what it is given.
pub(crate) struct Job<'a> {
    pub(crate) command: Vec<String>,
    pub(crate) env: &'a BTreeMap<String, String>,
    pub(crate) secret_env: &'a BTreeMap<String, SecretName>,
    pub(crate) secret_files: &'a BTreeMap<String, SecretName>,
    pub(crate) user: Option<String>,
    pub(crate) workdir: Option<String>,
    pub(crate) timeout: Duration,
}

fn run(host: &impl Host, context: &Context, input: &Input) -> Result<Output, Error> {
    let source = source(host, input.service.as_deref(), input.container.as_deref())?;
    let job = Job {
        command: input.command.clone(),
        env: &input.env,
        secret_env: &input.secret_env,
        secret_files: &input.secret_files,
        user: input.user.clone(),
        workdir: input.workdir.clone(),
        timeout: input.timeout,
    };
    job.run(host, context, &source)?.judge(input.expect_exit)
}

/// The container whose spec is used: one that serves if there is one.
pub(crate) fn source(
    host: &impl Host,
    service: Option<&str>,
    container: Option<&str>,
) -> Result<Container, Error> {
    let mut found = select(host, service, container)?;
    let index = found.iter().position(Container::available).unwrap_or(0);
    if index >= found.len() {
        let name = service.unwrap_or_default();
        return Err(Error::not_found("container.no-replica", format!("`{name}` has no container to clone")));
    }
    Ok(found.swap_remove(index))
}

impl Job<'_> {
    /// The container is removed whatever comes of the command.
    pub(crate) fn run(
        &self,
        host: &impl Host,
        context: &Context,
        source: &Container,
    ) -> Result<Output, Error> {
        let (env, files) = (handles(host, self.secret_env)?, handles(host, self.secret_files)?);
        let overrides = Overrides {
            env: self.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            command: Some(self.command.clone()),
            one_shot: true,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            secret_env: &env,
            secret_files: &files,
            ..Overrides::default()
        };
        let container = host.create(&source.id, &name(source, context), &overrides)?;
        let output = self.finish(host, &container);
        if let Err(error) = host.remove(&container.id, true) {
            host.warn(&format!("`{}` is left behind: {}", container.name, error.message));
        }
        output
    }

    fn finish(&self, host: &impl Host, container: &Container) -> Result<Output, Error> {
        host.start(&container.id)?;
        let ended = host.wait_until(&container.id, Condition::Exited, self.timeout);
        let stdout = match &ended {
            Err(error) if error.kind == ErrorKind::Cancelled => return Err(error.clone()),
            _ => host.logs(&container.id, OUTPUT_LINES, false)?,
        };
        let ended = ended.map_err(|error| {
            host.error(&stdout);
            error.because(format!("the command in `{}` did not end", container.name))
        })?;
        let (stderr, truncated) = (String::new(), false);
        Ok(Output::new(&ended, &ExecOutput { exit_code: ended.exit_code, stdout, stderr, truncated }))
    }
}

/// Unique by run, step and attempt; a step's path may hold characters that a name may not.
fn name(source: &Container, context: &Context) -> String {
    let step: String =
        context.step.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{}-{}-{}-{}", source.name, context.run, step.trim_matches('-'), context.attempt)
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::{Behaviour, World};
    use runbook_plugin::{Context, ErrorKind};

    use super::{Input, name, run};

    fn input(more: &str) -> Input {
        serde_json::from_str(&format!(r#"{{ "service": "shop/web", "command": ["migrate"] {more} }}"#))
            .expect("a good input")
    }

    #[test]
    fn it_leaves_nothing_behind() {
        let world = World::new().with_service("shop/web", 1);
        world.behave("shop-web-1", Behaviour::Exits(0, 2_000));
        let output = run(&world, &world.context(), &input("")).expect("it works");
        assert_eq!(output.exit_code, 0);
        assert_eq!(world.names(), ["shop-web-1"]);

        world.behave("shop-web-1", Behaviour::Exits(2, 2_000));
        let error = run(&world, &world.context(), &input("")).expect_err("2 is not 0");
        assert!(error.message.starts_with("the command ended with 2 in `shop-web-1-"), "{}", error.message);
        assert_eq!(world.names(), ["shop-web-1"]);
    }

    #[test]
    fn secrets_are_there_before_it_starts() {
        let world = World::new().with_service("shop/web", 1);
        world.behave("shop-web-1", Behaviour::Exits(0, 2_000));
        world.keep_secret("db/password", "hunter2");
        let more = r#", "secret_env": { "PASSWORD": "db/password" },
            "secret_files": { "/run/secrets/db": "db/password" }"#;
        run(&world, &world.context(), &input(more)).expect("it works");
        let places: Vec<_> = world.put_in().into_iter().map(|put| put.place).collect();
        assert_eq!(places, ["env PASSWORD", "file /run/secrets/db"]);
    }

    #[test]
    fn a_command_that_does_not_end() {
        let world = World::new().with_service("shop/web", 1);
        let error = run(&world, &world.context(), &input(r#", "timeout": "5s""#)).expect_err("it runs on");
        assert_eq!(error.kind, ErrorKind::TimedOut);
        assert_eq!(world.names(), ["shop-web-1"]);
    }

    #[test]
    fn names_are_legal() {
        let world = World::new().with_service("shop/web", 1);
        let context = Context { step: "undo:migrate[2]".to_owned(), ..world.context() };
        assert_eq!(name(&world.look("shop-web-1"), &context), "shop-web-1-0mjyb0z4000001-undo-migrate-2-1");
    }
}
