//! `container.script`: a script that people already have, inside a container or a one-shot one.

use std::collections::BTreeMap;

use runbook_plugin::{Context, Deserialize, Duration, Error, Host, JsonSchema, SecretName, Step, rule};
use serde_json::{Value, json};

use crate::one_shot::{Job, source};
use crate::{Output, Task, running, zero};

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "script",
        "Run a script in a container, or in a one-shot clone of it; its parameters are environment variables.",
        &["containers.read", "containers.exec"],
        script,
    )]
}

/// What interpreters call the option that takes a program as one argument.
const PROGRAM_OPTIONS: [(&str, &[&str]); 3] = [
    ("-c", &["sh", "bash", "dash", "ash", "zsh", "ksh", "python", "python3"]),
    ("-e", &["perl", "ruby", "node", "lua"]),
    ("-r", &["php"]),
];

/// The input of `container.script`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = rules()))]
#[schemars(extend("apart" = ["env", "secret_env"]))]
pub(crate) struct Input {
    /// `project/service`: its first running replica.
    #[schemars(extend("format" = "service-name"))]
    service: Option<String>,
    /// Or one container by name or id.
    #[schemars(extend("format" = "container-name"))]
    container: Option<String>,
    /// The interpreter. One word, like `[bash]`: it is given the body in the way it knows, as an argument if it is a
    /// common one, else on its standard input. More words, like `[sh, -ec]`: the body is the next argument.
    #[serde(default = "shell")]
    #[schemars(length(min = 1))]
    interpreter: Vec<String>,
    /// The script. Nothing is put into it: it reads its parameters from the environment.
    #[schemars(length(min = 1))]
    body: String,
    /// Its parameters.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "format": "variable-name" }))]
    env: BTreeMap<String, String>,
    /// Environment variables whose values are secrets: `PASSWORD: db/password`. The engine puts them in; this plugin never
    /// sees them.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16, "propertyNames" = { "format": "variable-name" }))]
    secret_env: BTreeMap<String, SecretName>,
    /// Files whose content are secrets, by absolute path: readable by the user of the container alone. Only with `one_shot`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 16, "propertyNames" = { "format": "file-path" }))]
    secret_files: BTreeMap<String, SecretName>,
    /// Whom it runs as, `user`, `uid` or `uid:gid`; else the user of the container.
    #[schemars(length(min = 1, max = 256))]
    user: Option<String>,
    /// The absolute path it runs in; else the working directory of the container.
    #[schemars(regex(pattern = "^/"))]
    workdir: Option<String>,
    /// How long it may take.
    #[serde(default = "ten_minutes")]
    timeout: Duration,
    /// The exit code that is right; `null`: any.
    #[serde(default = "zero")]
    expect_exit: Option<i32>,
    /// Run it in a container of its own, cloned from the one named and removed afterwards. Needs the grants `create`
    /// and `remove` and `start` as well.
    #[serde(default)]
    one_shot: bool,
}

/// What fits together, told before anything runs.
fn rules() -> Value {
    let Value::Array(mut rules) = rule::one_of(&["service", "container"]) else {
        unreachable!("rules are a list")
    };
    let alone = json!({ "properties": { "one_shot": { "const": true } }, "required": ["one_shot"] });
    let inside = json!({ "properties": { "one_shot": { "const": false } } });
    let programs: Vec<&str> =
        PROGRAM_OPTIONS.iter().flat_map(|(_, programs)| programs.iter().copied()).collect();
    let known = format!("(^|/)({})$", programs.join("|"));
    rules.push(json!({
        "description": "files are put into a container before it starts\nadd `one_shot: true`, or use `secret_env`",
        "anyOf": [alone, { "properties": { "secret_files": { "maxProperties": 0 } } }],
    }));
    rules.push(json!({
        "description": "a one-shot container has no standard input for the script\nwrite the interpreter with the option \
            that takes the program, for example `[sh, -c]`",
        "anyOf": [
            inside,
            { "properties": { "interpreter": { "minItems": 2 } } },
            { "properties": { "interpreter": { "items": { "pattern": known } } } },
        ],
    }));
    rules.push(json!({
        "description": "a one-shot container is waited for at most 1h\nwrite a shorter `timeout`",
        "anyOf": [inside, { "properties": { "timeout": { "atMost": "1h" } } }],
    }));
    rules.into()
}

fn shell() -> Vec<String> {
    vec!["sh".to_owned()]
}

fn ten_minutes() -> Duration {
    Duration::from_secs(600)
}

fn script(host: &impl Host, context: &Context, input: &Input) -> Result<Output, Error> {
    let (service, container) = (input.service.as_deref(), input.container.as_deref());
    let (command, on_input) = command(input);
    let output = if input.one_shot {
        if on_input {
            let words = "a one-shot container has no standard input: write the interpreter with the option that \
                takes the program, for example `[sh, -c]`";
            return Err(Error::invalid("container.interpreter", words));
        }
        let source = source(host, service, container)?;
        let Input { env, secret_env, secret_files, timeout, .. } = input;
        let (user, workdir) = (input.user.clone(), input.workdir.clone());
        let job = Job { command, env, secret_env, secret_files, user, workdir, timeout: *timeout };
        job.run(host, context, &source)?
    } else {
        if !input.secret_files.is_empty() {
            let words =
                "files are put into a container before it starts: add `one_shot: true`, or use `secret_env`";
            return Err(Error::invalid("container.secret-files", words));
        }
        let container = running(host, service, container)?;
        let (env, secret_env, timeout) = (&input.env, &input.secret_env, input.timeout);
        let (user, workdir) = (input.user.as_deref(), input.workdir.as_deref());
        let body = on_input.then_some(input.body.as_str());
        let task = Task { command: &command, env, secret_env, input: body, user, workdir, timeout };
        task.run(host, &container)?
    };
    output.judge(input.expect_exit)
}

/// The argument list, and whether the body goes to standard input instead. As an argument it leaves standard input to
/// the commands of the script, which else would read the rest of it as their data.
fn command(input: &Input) -> (Vec<String>, bool) {
    let mut command = input.interpreter.clone();
    if let [program] = command.as_slice() {
        let name = program.rsplit('/').next().unwrap_or_default();
        let known = PROGRAM_OPTIONS.iter().find(|(_, programs)| programs.contains(&name));
        let Some((option, _)) = known else {
            return (command, true);
        };
        command.push((*option).to_owned());
    }
    command.push(input.body.clone());
    (command, false)
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::{Behaviour, World};

    use super::{Input, command, script};

    fn input(more: &str) -> Input {
        serde_json::from_str(&format!(r#"{{ "service": "shop/web", "body": "echo \"$NAME\"" {more} }}"#))
            .expect("a good input")
    }

    #[test]
    fn parameters_are_environment() {
        let world = World::new().with_service("shop/web", 1);
        let more = r#", "env": { "NAME": "$(reboot)\"; reboot" }"#;
        script(&world, &world.context(), &input(more)).expect("it works");
        let run = world.execs().remove(0);
        assert_eq!(run.command, ["sh", "-c", "echo \"$NAME\""]);
        assert_eq!(run.env, [("NAME".to_owned(), "$(reboot)\"; reboot".to_owned())]);
        assert_eq!(run.input, None);
    }

    #[test]
    fn interpreters() {
        let given = |interpreter: &str| command(&input(&format!(r#", "interpreter": {interpreter}"#)));
        assert_eq!(given(r#"["/usr/bin/python3"]"#).0[1], "-c");
        assert_eq!(given(r#"["perl"]"#).0[1], "-e");
        assert_eq!(
            given(r#"["sh", "-ec"]"#),
            (vec!["sh".into(), "-ec".into(), "echo \"$NAME\"".into()], false)
        );
        assert_eq!(given(r#"["psql"]"#), (vec!["psql".into()], true));
    }

    #[test]
    fn a_strange_interpreter_reads_its_input() {
        let world = World::new().with_service("shop/web", 1);
        script(&world, &world.context(), &input(r#", "interpreter": ["psql"]"#)).expect("it works");
        assert_eq!(world.execs()[0].input.as_deref(), Some("echo \"$NAME\""));
        let one_shot = r#", "interpreter": ["psql"], "one_shot": true"#;
        let error = script(&world, &world.context(), &input(one_shot)).expect_err("no input there");
        assert_eq!(error.code, "container.interpreter");
    }

    #[test]
    fn secrets_are_environment_or_files_of_a_new_container() {
        let world = World::new().with_service("shop/web", 1);
        world.keep_secret("db", "hunter2");
        script(&world, &world.context(), &input(r#", "secret_env": { "DB": "db" }"#)).expect("it works");
        assert_eq!(world.put_in()[0].place, "env DB");
        let files = r#", "secret_files": { "/run/db": "db" }"#;
        let error = script(&world, &world.context(), &input(files)).expect_err("it runs already");
        assert_eq!(error.code, "container.secret-files");
        world.behave("shop-web-1", Behaviour::Exits(0, 100));
        let alone = format!(r#"{files}, "one_shot": true"#);
        script(&world, &world.context(), &input(&alone)).expect("it works");
        assert_eq!(world.put_in()[1].place, "file /run/db");
    }

    #[test]
    fn in_a_container_of_its_own() {
        let world = World::new().with_service("shop/web", 1);
        world.behave("shop-web-1", Behaviour::Exits(0, 100));
        let output = script(&world, &world.context(), &input(r#", "one_shot": true"#)).expect("it works");
        assert!(output.container.starts_with("shop-web-1-"));
        assert!(world.execs().is_empty());
        assert_eq!(world.names(), ["shop-web-1"]);
    }
}
