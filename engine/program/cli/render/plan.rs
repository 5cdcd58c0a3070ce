//! A plan for people: what would be written, what that rests on, and how to hold a run to it.

use serde_json::Value;

use super::{card, value};
use crate::cli::output::paint::Paint;
use crate::cli::output::table::Table;
use executor::request::{Plan, PlannedWrite};

/// Digits of an id that people need to tell containers apart.
const ID_DIGITS: usize = 12;

/// Without those that are empty texts: what is not given is not told.
fn given(parameters: &Value) -> Value {
    let Value::Object(all) = parameters else { return parameters.clone() };
    let given = all.iter().filter(|(_, value)| value.as_str() != Some(""));
    Value::Object(given.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The whole plan.
pub(crate) fn plan(plan: &Plan, paint: Paint, width: Option<usize>) -> String {
    let mut text = format!("{} on target {}", paint.bold(&plan.runbook.to_string()), plan.target);
    let parameters = value::inline(&given(&plan.parameters));
    if !parameters.is_empty() {
        text.push_str(&format!(" with {parameters}"));
    }
    text.push_str("\n\n");
    text.push_str(&card::card(&plan.card, paint));
    text.push('\n');
    text.push_str(&steps(plan, paint, width));
    text.push('\n');
    text.push_str(&writes(plan, paint, width));
    text.push_str(&secrets(plan, paint, width));
    for unknown in &plan.unknown {
        text.push_str(&format!("{} {unknown}\n", paint.yellow("unknown:")));
    }
    let why = if plan.message.is_empty() {
        String::new()
    } else {
        format!(": {}", crate::error::printable(&plan.message))
    };
    text.push_str(&format!("ends as {}, as far as can be known{why}\n", paint.status(plan.status.word())));
    text.push_str(&format!("digest {}\n", plan.digest));
    text
}

fn steps(plan: &Plan, paint: Paint, width: Option<usize>) -> String {
    let mut table = Table::new(&["STEP", "USES", "FATE", "NOTE"]);
    for step in &plan.steps {
        table.row(vec![
            step.path.to_string().into(),
            step.uses.as_str().into(),
            step.fate.as_str().into(),
            step.note.clone().unwrap_or_default().into(),
        ]);
    }
    table.render(paint, width)
}

fn writes(plan: &Plan, paint: Paint, width: Option<usize>) -> String {
    if plan.writes.is_empty() {
        return "writes nothing\n".to_owned();
    }
    let mut table = Table::new(&["WRITE", "STEP", "CALL", "TARGET", "WITH"]);
    for (number, write) in plan.writes.iter().enumerate() {
        let number = if write.certain { format!("{}", number + 1) } else { format!("{} ?", number + 1) };
        table.row(vec![
            number.into(),
            write.path.to_string().into(),
            write.function.as_str().into(),
            write.target.as_str().into(),
            arguments(write).into(),
        ]);
    }
    let mut text = table.render(paint, width);
    if plan.writes.iter().any(|write| !write.certain) {
        text.push_str("? rests on something that cannot be known before\n");
    }
    text
}

/// Which secrets go where; loud where a plugin sees one.
fn secrets(plan: &Plan, paint: Paint, width: Option<usize>) -> String {
    if plan.secrets.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["SECRET", "VERSION", "STEP", "GOES TO"]);
    for used in &plan.secrets {
        table.row(vec![
            used.secret.as_str().into(),
            used.version.as_str().into(),
            used.path.to_string().into(),
            used.place.as_str().into(),
        ]);
    }
    let mut text = format!("\n{}", table.render(paint, width));
    let mut seen: Vec<&str> =
        plan.secrets.iter().filter(|used| used.revealed).map(|used| used.secret.as_str()).collect();
    seen.dedup();
    if !seen.is_empty() {
        let loud = format!("REVEALS {}: a plugin sees the plain text", seen.join(", "));
        text.push_str(&format!("{}\n", paint.red(&loud)));
    }
    text.push('\n');
    text
}

/// Without the id, which the target's name already says.
fn arguments(write: &PlannedWrite) -> String {
    let serde_json::Value::Object(map) = &write.arguments else { return value::inline(&write.arguments) };
    let mut map = map.clone();
    map.retain(|_, value| !is_id(value) && !value.is_null());
    value::pairs(&map)
}

fn is_id(value: &serde_json::Value) -> bool {
    value.as_str().is_some_and(|text| text.len() > ID_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use executor::request::{Card, PlannedStep};
    use expect_test::expect;
    use model::grant::GrantSet;
    use model::runbook::Risk;
    use run::event::EndStatus;
    use serde_json::json;
    use words::ids::{Digest, RunbookName, TargetName};

    fn sample() -> Plan {
        Plan {
            digest: Digest::of("plan"),
            runbook: RunbookName::new("service-restart").unwrap(),
            parameters: json!({"service": "shop/web", "grace": ""}),
            target: TargetName::new("local").unwrap(),
            writes: vec![
                PlannedWrite {
                    path: "restart".parse().unwrap(),
                    function: "containers.stop".to_owned(),
                    target: "shop-web-1".to_owned(),
                    arguments: json!({"id": "0".repeat(64), "grace_ms": 10_000}),
                    before: json!({}),
                    certain: true,
                },
                PlannedWrite {
                    path: "restart".parse().unwrap(),
                    function: "containers.start".to_owned(),
                    target: "shop-web-1".to_owned(),
                    arguments: json!({"id": "0".repeat(64)}),
                    before: json!({}),
                    certain: false,
                },
            ],
            secrets: Vec::new(),
            unknown: vec!["what `http://web/` answers".to_owned()],
            steps: vec![PlannedStep {
                path: "restart".parse().unwrap(),
                uses: "service.restart".to_owned(),
                fate: "runs".to_owned(),
                note: None,
            }],
            status: EndStatus::Succeeded,
            cause: None,
            message: String::new(),
            card: Card { risk: Risk::Low, grants: GrantSet::default(), locks: Vec::new() },
        }
    }

    #[test]
    fn a_plan_lists_writes_and_doubts() {
        expect![[r"
            service-restart on target local with service = shop/web

              may    do nothing outside itself
              risk   low

            STEP     USES             FATE  NOTE
            restart  service.restart  runs

            WRITE  STEP     CALL              TARGET      WITH
            1      restart  containers.stop   shop-web-1  grace_ms = 10000
            2 ?    restart  containers.start  shop-web-1
            ? rests on something that cannot be known before
            unknown: what `http://web/` answers
            ends as succeeded, as far as can be known
            digest 64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525
        "]]
        .assert_eq(&plan(&sample(), Paint(false), None));
    }

    #[test]
    fn secrets_are_listed_and_a_look_at_one_is_loud() {
        let mut sample = sample();
        sample.secrets = serde_json::from_value(json!([
            { "path": "ask", "secret": "api/token", "version": "3", "place": "header `x` of GET http://a/", "revealed": false },
            { "path": "ask", "secret": "db", "version": "1", "place": "the plugin, in plain text", "revealed": true },
        ]))
        .unwrap();
        let told = plan(&sample, Paint(false), None);
        for words in
            ["api/token  3", "header `x` of GET http://a/", "REVEALS db: a plugin sees the plain text"]
        {
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn a_plan_without_writes_says_so() {
        let mut sample = sample();
        sample.writes.clear();
        assert!(plan(&sample, Paint(false), None).contains("\nwrites nothing\n"));
    }
}
