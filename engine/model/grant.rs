//! What a run's plugins may do, to what, and how much of it at once. Deny by default.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::check_address;
use super::expression::Scope;
use super::runbook::Template;
use super::secret_grant::{SecretAction, SecretGrant};
use words::unfit::Unfit;

/// What may be done to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerAction {
    /// list, inspect, logs, stats, top, events
    Read,
    /// stop and start
    Restart,
    /// stop
    Stop,
    /// start
    Start,
    /// kill
    Kill,
    /// pause and unpause
    Pause,
    /// unpause
    Unpause,
    /// a new container cloned from one of the selected
    Create,
    /// remove and rename
    Remove,
    /// live limits
    Update,
    /// run a command inside
    Exec,
}

impl ContainerAction {
    /// Every action, in the order of the documentation.
    pub const ALL: [Self; 11] = [
        Self::Read,
        Self::Restart,
        Self::Stop,
        Self::Start,
        Self::Kill,
        Self::Pause,
        Self::Unpause,
        Self::Create,
        Self::Remove,
        Self::Update,
        Self::Exec,
    ];

    /// The word in YAML.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Restart => "restart",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Create => "create",
            Self::Remove => "remove",
            Self::Update => "update",
            Self::Exec => "exec",
        }
    }

    /// Whether a grant of `self` covers a need of `need`: `restart` covers `stop` and `start`; what may bring a container
    /// up may let a paused one go on; any action covers `read`.
    pub fn covers(self, need: Self) -> bool {
        self == need
            || need == Self::Read
            || (self == Self::Restart && matches!(need, Self::Stop | Self::Start))
            || (need == Self::Unpause && matches!(self, Self::Pause | Self::Start | Self::Restart))
    }

    /// Whether it changes anything.
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

/// What may be done to a bucket of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateAction {
    /// get and list
    Read,
    /// set and delete
    Write,
}

/// Which containers; in a [`Runbook`](super::runbook::Runbook) `T` is [`Template`], in a run `String`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector<T> {
    /// The replicas of a service, `project/service`, a bare service or a single container's name.
    Service(T),
    /// Every service of a Compose project.
    Project(T),
    /// Containers with this label, `name=value`.
    Label(T),
}

/// A grant on containers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerGrant<T, N> {
    /// Which ones.
    pub select: Selector<T>,
    /// What may be done to them.
    pub actions: Vec<ContainerAction>,
    /// How many replicas of one service may be down or unhealthy at once; without it, one.
    pub max_unavailable: Option<N>,
    /// How many replicas of one service must stay healthy.
    pub min_healthy: Option<N>,
    /// The line in the runbook, from 1.
    pub line: u32,
    /// The lines of its keys, so that a denial can point at the one to change.
    #[serde(default)]
    pub lines: GrantLines,
    /// The granted service that these depend on, where nobody wrote this grant: they must be restarted with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependent_of: Option<String>,
}

impl<T, N> ContainerGrant<T, N> {
    /// The line of `actions`; that of the grant in runs accepted before lines of keys were kept.
    pub fn line_of_actions(&self) -> u32 {
        if self.lines.actions == 0 { self.line } else { self.lines.actions }
    }

    /// The line of a budget, or of the grant where the budget is not written.
    pub fn line_of_budget(&self, word: &str) -> u32 {
        let line = match word {
            "max_unavailable" => self.lines.max_unavailable,
            "min_healthy" => self.lines.min_healthy,
            _ => 0,
        };
        if line == 0 { self.line } else { line }
    }
}

/// Where the keys of a grant on containers stand; 0 for one that is not written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantLines {
    /// `actions`
    pub actions: u32,
    /// `max_unavailable`
    pub max_unavailable: u32,
    /// `min_healthy`
    pub min_healthy: u32,
}

/// A grant on a bucket of state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateGrant<T> {
    /// The bucket.
    pub bucket: T,
    /// What may be done.
    pub actions: Vec<StateAction>,
    /// The line in the runbook.
    pub line: u32,
}

/// All grants; generic over what a text and a number are before and after evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GrantSet<T, N> {
    /// Containers.
    pub containers: Vec<ContainerGrant<T, N>>,
    /// URL patterns: `scheme://host:port/path`, `*` stands for any text inside one part; the path may end in `*`.
    pub http: Vec<T>,
    /// State buckets.
    pub state: Vec<StateGrant<T>>,
    /// Secrets.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretGrant<T>>,
    /// The line of the key `grants`, 0 if there is none.
    pub line: u32,
    /// The line of the key `http`, 0 if there is none.
    #[serde(default)]
    pub http_line: u32,
}

/// As written in a runbook.
pub type Grants = GrantSet<Template, Template>;

/// As evaluated when a run is accepted.
pub type RunGrants = GrantSet<String, u32>;

impl<T, N> GrantSet<T, N> {
    /// The line to change for another address: that of `http`, else that of `grants`.
    pub fn line_of_http(&self) -> u32 {
        if self.http_line == 0 { self.line.max(1) } else { self.http_line }
    }

    /// Whether containers or state may be changed. Requests are not counted: what they are is known only when they are made.
    pub fn writes(&self) -> bool {
        self.containers.iter().any(|grant| grant.actions.iter().any(|action| action.writes()))
            || self.state.iter().any(|grant| grant.actions.contains(&StateAction::Write))
    }

    /// Whether a plugin may see the plain text of a secret.
    pub fn reveals(&self) -> bool {
        self.secrets.iter().any(|grant| grant.gives(SecretAction::Reveal))
    }
}

impl<T, N> Default for GrantSet<T, N> {
    fn default() -> Self {
        Self {
            containers: Vec::new(),
            http: Vec::new(),
            state: Vec::new(),
            secrets: Vec::new(),
            line: 0,
            http_line: 0,
        }
    }
}

/// A grant that cannot be given to a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct InvalidGrant {
    /// The line in the runbook.
    pub line: u32,
    /// One sentence.
    pub message: String,
}

impl Grants {
    /// The grants of a run; every text and number is known from here on.
    ///
    /// An empty selector is an error, never "everything"; a budget below one would let nothing happen and is refused too.
    pub fn evaluate(&self, scope: &Scope) -> Result<RunGrants, InvalidGrant> {
        Ok(GrantSet {
            containers: self
                .containers
                .iter()
                .map(|grant| grant.evaluate(scope))
                .collect::<Result<_, _>>()?,
            http: self
                .http
                .iter()
                .map(|pattern| {
                    let line = pattern.expressions().first().map_or(self.line, |expression| expression.line);
                    let pattern = text(pattern, scope, line, "an address under `grants.http`")?;
                    check_address(&pattern).map_err(|message| InvalidGrant { line, message })?;
                    Ok(pattern)
                })
                .collect::<Result<_, InvalidGrant>>()?,
            state: self
                .state
                .iter()
                .map(|grant| {
                    let line = grant.line;
                    let bucket = text(&grant.bucket, scope, line, "a bucket under `grants.state`")?;
                    check_bucket(&bucket).map_err(|message| InvalidGrant { line, message })?;
                    Ok(StateGrant { bucket, actions: grant.actions.clone(), line })
                })
                .collect::<Result<_, InvalidGrant>>()?,
            secrets: self.secrets.iter().map(|grant| grant.evaluate(scope)).collect::<Result<_, _>>()?,
            line: self.line,
            http_line: self.http_line,
        })
    }
}

impl ContainerGrant<Template, Template> {
    fn evaluate(&self, scope: &Scope) -> Result<ContainerGrant<String, u32>, InvalidGrant> {
        let line = self.line;
        let select = match &self.select {
            Selector::Service(name) => Selector::Service(text(name, scope, line, "the service of a grant")?),
            Selector::Project(name) => Selector::Project(text(name, scope, line, "the project of a grant")?),
            Selector::Label(label) => {
                let label = text(label, scope, line, "the label of a grant")?;
                check_label(&label).map_err(|message| InvalidGrant { line, message })?;
                Selector::Label(label)
            }
        };
        Ok(ContainerGrant {
            select,
            actions: self.actions.clone(),
            max_unavailable: count(
                self.max_unavailable.as_ref(),
                scope,
                self.line_of_budget("max_unavailable"),
                "max_unavailable",
                1,
            )?,
            min_healthy: count(
                self.min_healthy.as_ref(),
                scope,
                self.line_of_budget("min_healthy"),
                "min_healthy",
                0,
            )?,
            line,
            lines: self.lines,
            dependent_of: self.dependent_of.clone(),
        })
    }
}

/// Whether `text` is `name=value` with both.
pub fn check_label(text: &str) -> Result<(), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(()),
        _ => Err(format!("`{}` is not a label; write `name=value`", text.escape_debug())),
    }
}

/// What the engine keeps for itself: changed by its own commands only.
const OWN_BUCKET: &str = "engine";

/// Whether a run may be granted this bucket.
pub fn check_bucket(text: &str) -> Result<(), String> {
    let own = text == OWN_BUCKET || text.strip_prefix(OWN_BUCKET).is_some_and(|rest| rest.starts_with('.'));
    if own {
        return Err(format!("the bucket `{}` is the engine's own; name another", text.escape_debug()));
    }
    Ok(())
}

/// The longest name of a bucket or a key, in bytes.
const MAX_STATE_NAME_BYTES: usize = 128;

/// Whether this can be the name of a bucket or of a key in one.
pub fn check_state_name(text: &str) -> Result<(), Unfit> {
    let bytes = text.as_bytes();
    let legal = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._/-".contains(b);
    let named = bytes.first().is_some_and(|first| !b"._/-".contains(first)) && bytes.iter().all(legal);
    if named && bytes.len() <= MAX_STATE_NAME_BYTES && !text.contains("..") {
        return Ok(());
    }
    let shown: String = text.chars().take(MAX_STATE_NAME_BYTES).collect();
    Err(Unfit::new(
        format!("`{}` is not the name of a bucket or key", shown.escape_debug()),
        format!(
            "write lower-case letters, digits and `._/-`, at most {MAX_STATE_NAME_BYTES}; for example `deploys/web`"
        ),
    ))
}

pub(super) fn text(
    template: &Template,
    scope: &Scope,
    line: u32,
    what: &str,
) -> Result<String, InvalidGrant> {
    let invalid = |message| InvalidGrant { line, message };
    match template.evaluate(scope).map_err(|error| invalid(error.to_string()))? {
        Value::String(text) if text.trim().is_empty() => Err(invalid(format!("{what} is empty"))),
        Value::String(text) => Ok(text),
        other => Err(invalid(format!("{what} must be a text, not `{other}`"))),
    }
}

fn count(
    template: Option<&Template>,
    scope: &Scope,
    line: u32,
    what: &str,
    least: u32,
) -> Result<Option<u32>, InvalidGrant> {
    let Some(template) = template else { return Ok(None) };
    let value =
        template.evaluate(scope).map_err(|error| InvalidGrant { line, message: error.to_string() })?;
    value
        .as_u64()
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count >= least)
        .map(Some)
        .ok_or_else(|| InvalidGrant {
            line,
            message: format!("`{what}` must be an integer of at least {least}, not `{value}`"),
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        ContainerAction, ContainerGrant, GrantLines, Grants, RunGrants, Selector, StateAction, StateGrant,
    };
    use crate::expression::Scope;
    use crate::runbook::Template;

    fn grants(service: &str, batch: &str) -> Grants {
        Grants {
            containers: vec![ContainerGrant {
                select: Selector::Service(Template::parse(service, 4).unwrap()),
                actions: vec![ContainerAction::Restart],
                max_unavailable: Some(Template::parse(batch, 5).unwrap()),
                min_healthy: None,
                line: 4,
                lines: GrantLines { actions: 4, max_unavailable: 5, min_healthy: 0 },
                dependent_of: None,
            }],
            http: vec![Template::parse("http://*:8080/healthz", 6).unwrap()],
            state: Vec::new(),
            secrets: Vec::new(),
            line: 3,
            http_line: 6,
        }
    }

    fn scope() -> Scope {
        let Value::Object(map) =
            json!({ "parameters": { "service": "shop/web", "none": "", "batch": 2, "zero": 0 } })
        else {
            unreachable!()
        };
        Scope::of(map)
    }

    #[test]
    fn grants_of_a_run_are_plain_values() {
        let run = grants("${{ parameters.service }}", "${{ parameters.batch }}").evaluate(&scope()).unwrap();
        assert_eq!(run.containers[0].select, Selector::Service("shop/web".to_owned()));
        assert_eq!(run.containers[0].max_unavailable, Some(2));
        assert_eq!(run.http, ["http://*:8080/healthz"]);
    }

    #[test]
    fn an_empty_selector_is_an_error_and_so_is_no_budget() {
        for (service, batch, expected) in [
            ("${{ parameters.none }}", "${{ parameters.batch }}", "line 4: the service of a grant is empty"),
            (
                "${{ parameters.batch }}",
                "${{ parameters.batch }}",
                "line 4: the service of a grant must be a text, not `2`",
            ),
            (
                "web",
                "${{ parameters.zero }}",
                "line 5: `max_unavailable` must be an integer of at least 1, not `0`",
            ),
        ] {
            assert_eq!(grants(service, batch).evaluate(&scope()).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_engines_own_buckets_are_not_granted() {
        for (bucket, refused) in
            [("engine", true), ("engine.dedupe", true), ("engines", false), ("deploys", false)]
        {
            let mut grants = Grants::default();
            grants.state.push(StateGrant {
                bucket: Template::parse(&format!("${{{{ '{bucket}' }}}}"), 7).unwrap(),
                actions: vec![StateAction::Write],
                line: 7,
            });
            match grants.evaluate(&scope()) {
                Err(error) => {
                    let expected = format!("line 7: the bucket `{bucket}` is the engine's own; name another");
                    assert!(refused && error.to_string() == expected, "{error}");
                }
                Ok(run) => assert!(!refused && run.state[0].bucket == bucket),
            }
        }
    }

    #[test]
    fn a_denial_can_point_at_the_key_to_change() {
        let run = grants("web", "${{ parameters.batch }}").evaluate(&scope()).unwrap();
        let grant = &run.containers[0];
        assert_eq!((grant.line_of_actions(), grant.line_of_budget("max_unavailable")), (4, 5));
        assert_eq!((grant.line_of_budget("min_healthy"), run.line_of_http()), (4, 6));
        // As accepted before the lines of keys were kept.
        let mut old = serde_json::to_value(&run).unwrap();
        old.as_object_mut().unwrap().remove("http_line");
        old["containers"][0].as_object_mut().unwrap().remove("lines");
        let old: RunGrants = serde_json::from_value(old).unwrap();
        assert_eq!((old.containers[0].line_of_actions(), old.line_of_http()), (4, 3));
    }
}
