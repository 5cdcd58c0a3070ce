//! Texts of runbooks the tests run.

/// What a restart runbook is to say.
pub(crate) struct Restart {
    /// How many at once, for the step and for the grant.
    pub(crate) batch: u32,
    /// More lines of the runbook's top level.
    pub(crate) more: &'static str,
    /// How long a batch may take to heal.
    pub(crate) wait: &'static str,
}

impl Default for Restart {
    fn default() -> Self {
        Self { batch: 1, more: "", wait: "60s" }
    }
}

/// Restarts a service, with a short grace.
pub(crate) fn restart(wanted: &Restart) -> String {
    let Restart { batch, more, wait } = wanted;
    format!(
        r#"format: 1
runbook: restart-it
summary: Restart a service.
risk: medium
{more}
parameters:
  service: {{ type: string }}
grants:
  containers:
    select: {{ service: "${{{{ parameters.service }}}}" }}
    actions: [read, restart]
    max_unavailable: {batch}
steps:
  - id: restart
    summary: Restart it.
    expect: Each replica is healthy again.
    if_it_fails: Look at the logs of the replica that did not come back.
    uses: service.restart
    with: {{ service: "${{{{ parameters.service }}}}", grace: 1s, batch: {batch}, wait: {wait} }}
outputs:
  restarted: ${{{{ steps.restart.output.restarted }}}}
"#
    )
}

/// A runbook of these steps, allowed to restart its service and to do what `grants` adds.
pub(crate) fn steps(actions: &str, steps: &str) -> String {
    granted(actions, "", steps)
}

/// The same with more lines under `grants`, each with its end.
pub(crate) fn granted(actions: &str, more: &str, steps: &str) -> String {
    format!(
        r#"format: 1
runbook: some-steps
summary: Do some steps.
risk: low
parameters:
  service: {{ type: string }}
  names: {{ type: list, default: [] }}
grants:
  containers:
    select: {{ service: "${{{{ parameters.service }}}}" }}
    actions: [{actions}]
    max_unavailable: 1
{more}steps:
{steps}"#
    )
}

/// Touches nothing.
pub(crate) const HELLO: &str = "format: 1
runbook: hello
summary: Say hello.
steps:
  - id: hello
    uses: core.log
    with: { message: hello }
";

/// Holds the lock on its service until a person has answered.
pub(crate) const ASKS: &str = r#"
  - id: ask
    uses: ask.person
    with: { question: "restart it?" }
  - id: restart
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 1s }
"#;

/// Restarts, then holds the lock on its service for long.
pub(crate) const SLEEPS: &str = r#"
  - id: restart
    uses: service.restart
    with: { service: "${{ parameters.service }}", grace: 1s }
  - id: sleep
    uses: core.sleep
    with: { for: 5m }
"#;
