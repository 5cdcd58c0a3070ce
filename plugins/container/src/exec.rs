//! `container.exec`: an argument list in a running container.

use std::collections::BTreeMap;

use runbook_plugin::{Context, Deserialize, Duration, Error, Host, JsonSchema, SecretName, Step};

use crate::{Output, Task, one_minute, running, zero};

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "exec",
        "Run a command, given as an argument list, in a running container.",
        &["containers.read", "containers.exec"],
        exec,
    )]
}

/// The input of `container.exec`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = runbook_plugin::rule::one_of(&["service", "container"])))]
#[schemars(extend("apart" = ["env", "secret_env"]))]
pub(crate) struct Input {
    /// `project/service`: its first running replica.
    #[schemars(extend("format" = "service-name"))]
    service: Option<String>,
    /// Or one container by name or id.
    #[schemars(extend("format" = "container-name"))]
    container: Option<String>,
    /// The program and its arguments; no shell reads them.
    #[schemars(length(min = 1), extend("prefixItems" = [{ "type": "string", "minLength": 1 }]))]
    command: Vec<String>,
    /// Environment variables.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "variable-name" }))]
    env: BTreeMap<String, String>,
    /// Environment variables whose values are secrets: `PASSWORD: db/password`. The engine puts them in; this plugin never
    /// sees them.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16, "propertyNames" = { "format": "variable-name" }))]
    secret_env: BTreeMap<String, SecretName>,
    /// What it reads on its standard input.
    stdin: Option<String>,
    /// Whom it runs as, `user`, `uid` or `uid:gid`; else the user of the container.
    #[schemars(length(min = 1, max = 256))]
    #[schemars(extend("format" = "user-name"))]
    user: Option<String>,
    /// The absolute path it runs in; else the working directory of the container.
    #[schemars(regex(pattern = "^/"))]
    #[schemars(extend("format" = "workdir-path"))]
    workdir: Option<String>,
    /// How long it may take.
    #[serde(default = "one_minute")]
    timeout: Duration,
    /// The exit code that is right; `null`: any.
    #[serde(default = "zero")]
    expect_exit: Option<i32>,
}

fn exec(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let container = running(host, input.service.as_deref(), input.container.as_deref())?;
    let task = Task {
        command: &input.command,
        env: &input.env,
        secret_env: &input.secret_env,
        input: input.stdin.as_deref(),
        user: input.user.as_deref(),
        workdir: input.workdir.as_deref(),
        timeout: input.timeout,
    };
    task.run(host, &container)?.judge(input.expect_exit)
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;
    use runbook_plugin::{ErrorKind, Health, State};

    use super::{Input, exec};

    fn input(more: &str) -> Input {
        serde_json::from_str(&format!(r#"{{ "command": ["date", "-u; reboot"] {more} }}"#))
            .expect("a good input")
    }

    #[test]
    fn in_the_first_replica_that_serves() {
        let world = World::new().with_service("shop/web", 3);
        world.change("shop-web-1", |c| c.state = State::Exited);
        world.change("shop-web-2", |c| c.health = Health::Unhealthy);
        world.answer_exec(0, "today");
        let more = r#", "service": "shop/web", "env": { "TZ": "UTC" }, "stdin": "x""#;
        let output = exec(&world, &world.context(), &input(more)).expect("it works");
        assert_eq!((output.container.as_str(), output.stdout.as_str()), ("shop-web-3", "today"));
        let run = world.execs().remove(0);
        assert_eq!(run.command, ["date", "-u; reboot"], "arguments stay arguments");
        assert_eq!((run.env[0].0.as_str(), run.input.as_deref()), ("TZ", Some("x")));
    }

    #[test]
    fn line_ends_at_the_end_are_taken_off() {
        let world = World::new().with_service("shop/web", 1);
        for (printed, kept) in [("3\n", "3"), ("a\r\n\n", "a"), (" a\nb \n", " a\nb "), ("\n", "")] {
            world.answer_exec(0, printed);
            let output = exec(&world, &world.context(), &input(r#", "container": "shop-web-1""#));
            let output = output.expect("it works");
            assert_eq!((output.stdout.as_str(), output.truncated), (kept, false));
        }
    }

    #[test]
    fn secrets_go_by_handle() {
        let world = World::new().with_service("shop/web", 1);
        let input = input(r#", "container": "shop-web-1", "secret_env": { "PASSWORD": "db/password" }"#);
        let error = exec(&world, &world.context(), &input).expect_err("there is none");
        assert_eq!(error.kind, ErrorKind::NotFound);
        world.keep_secret("db/password", "hunter2");
        exec(&world, &world.context(), &input).expect("it works");
        assert_eq!((world.put_in()[0].place.as_str(), world.execs().len()), ("env PASSWORD", 1));
    }

    #[test]
    fn the_exit_code_counts() {
        let world = World::new().with_service("shop/web", 1);
        world.answer_exec(3, "no space left");
        let one = r#", "container": "shop-web-1""#;
        let error = exec(&world, &world.context(), &input(one)).expect_err("3 is not 0");
        assert_eq!(error.message, "the command ended with 3 in `shop-web-1`: no space left");
        for right in ["3", "null"] {
            let input = input(&format!(r#"{one}, "expect_exit": {right}"#));
            assert_eq!(exec(&world, &world.context(), &input).expect(right).exit_code, 3);
        }
    }

    #[test]
    fn where_must_be_clear() {
        let world = World::new().with_service("shop/web", 1);
        for more in ["", r#", "service": "shop/web", "container": "shop-web-1""#] {
            let error = exec(&world, &world.context(), &input(more)).expect_err("unclear");
            assert_eq!(error.kind, ErrorKind::Invalid);
        }
        world.change("shop-web-1", |c| c.state = State::Exited);
        let error = exec(&world, &world.context(), &input(r#", "service": "shop/web""#)).expect_err("down");
        assert_eq!(error.message, "nothing of `shop/web` is running");
    }
}
