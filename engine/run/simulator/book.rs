//! Runbooks for the simulator, built step by step.

use std::time::Duration;

use serde_json::{Value, json};

use crate::event::Accepted;
use model::expression::Expression;
use model::grant::RunGrants;
use model::runbook::{OnFailure, Retry, Risk, Runbook, Step, Template, Uses};
use words::ids::{Digest, PluginName, RunbookName, StepId, StepPath, TargetName};
use words::trigger::TriggerKind;

pub fn id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

pub fn path(text: &str) -> StepPath {
    text.parse().unwrap()
}

pub fn expr(text: &str) -> Expression {
    Expression::parse(text, 1).unwrap()
}

pub fn text(text: &str) -> Template {
    Template::parse(text, 1).unwrap()
}

pub fn plugin() -> Uses {
    Uses::Plugin { plugin: words::ids::PluginName::new("test").unwrap(), step: "act".to_owned() }
}

pub(super) fn step(name: &str) -> Step {
    Step {
        id: id(name),
        summary: String::new(),
        expect: None,
        if_it_fails: None,
        uses: plugin(),
        with: Template::empty(),
        condition: None,
        for_each: None,
        until: None,
        retry: Retry {
            attempts: 1,
            delay: Duration::from_secs(1),
            factor: 2.0,
            max_delay: Duration::from_mins(1),
        },
        timeout: Duration::from_mins(10),
        on_failure: OnFailure::Stop,
        needs: Vec::new(),
        undo: None,
        line: 1,
    }
}

/// Builds a runbook step by step; each needs its predecessor until told otherwise.
#[derive(Debug, Default)]
pub struct Book {
    steps: Vec<Step>,
    finally: Vec<Step>,
    pub outputs: Vec<(String, Template)>,
}

impl Book {
    pub fn step(&mut self, name: &str) -> &mut Step {
        add(&mut self.steps, name)
    }

    pub fn steps_mut(&mut self) -> &mut [Step] {
        &mut self.steps
    }

    pub fn finally(&mut self, name: &str) -> &mut Step {
        add(&mut self.finally, name)
    }
}

fn add<'a>(steps: &'a mut Vec<Step>, name: &str) -> &'a mut Step {
    let needs = steps.last().map(|last| last.id.clone()).into_iter().collect();
    steps.push(Step { needs, ..step(name) });
    steps.last_mut().unwrap()
}

pub fn book(build: impl FnOnce(&mut Book)) -> Runbook {
    let mut book = Book::default();
    build(&mut book);
    Runbook {
        name: RunbookName::new("test").unwrap(),
        summary: "A test.".to_owned(),
        about: String::new(),
        risk: Risk::Low,
        owner: None,
        parameters: Vec::new(),
        triggers: Vec::new(),
        timeout: Duration::from_mins(30),
        resume_within: Duration::from_mins(15),
        grants: model::grant::Grants::default(),
        steps: book.steps,
        finally: book.finally,
        outputs: book.outputs,
        digest: Digest::of("test"),
        text: String::new(),
    }
}

pub fn accepted(runbook: &Runbook) -> Accepted {
    Accepted {
        runbook: runbook.name.clone(),
        file: String::new(),
        texts: Vec::new(),
        plugins: vec![(PluginName::new("test").unwrap(), Digest::of("test"))],
        plugins_of_children: false,
        parameters: json!({ "service": "shop/web" }),
        trigger: TriggerKind::Manual,
        trigger_data: Value::Null,
        reason: Some("because".to_owned()),
        asked_by: None,
        sudo_user: None,
        dedupe: None,
        target: TargetName::new("local").unwrap(),
        grants: RunGrants::default(),
        takes_locks: false,
        locks: Vec::new(),
        parent: None,
        plan: None,
        step_by_step: false,
        timeout_ms: u64::try_from(runbook.timeout.as_millis()).unwrap(),
        resume_within_ms: 900_000,
    }
}
