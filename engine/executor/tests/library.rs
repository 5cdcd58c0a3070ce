//! Every runbook of the library, cut after every entry of its journal and carried on: the same end, the same journal, and
//! the same done to the world, each once. What the plugins do is make-believe: calls by what their step types may need,
//! outputs by their schemas.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use host::embedded;
use model::input::resolved;
use model::parameters::resolve;
use model::parse::{Known, parse, signature, step_types};
use model::runbook::{Parameter, ParameterType, Runbook, Step, Uses};
use model::step_type::StepType;
use run::event::{Accepted, EndStatus, Event, Settlement};
use run::simulator::{Act, Simulator, accepted, broken, cancel, fails, ok};
use words::effect::FailureKind;
use words::ids::RunbookName;

/// Each call of a step is made for so many things, and each `for_each` has so many items that are told apart.
const THINGS: usize = 2;

/// How often an entry of a journal may be the last: more than any of these runs takes.
const MOST_ENTRIES: usize = 400;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Nothing.
    Well,
    /// This step fails every time, after it wrote.
    Fails(usize),
    /// This step fails once in a way that is tried again.
    FailsOnce(usize),
    /// This step's last write cannot be established; a person says to do it.
    Doubted(usize),
    /// A person cancels so many milliseconds after the run was accepted, and asks for the undo.
    Cancelled(u64),
}

struct Library {
    runbooks: Vec<Runbook>,
    types: BTreeMap<String, StepType>,
}

impl Library {
    fn read() -> Self {
        let catalogue = embedded::catalogue();
        let named = embedded::runbooks().map(|(name, text)| {
            (RunbookName::new(name).expect("a name"), signature(text).expect("its parameters"))
        });
        let signatures = named.collect();
        let known = Known { catalogue: &catalogue, runbooks: &signatures };
        let read = |(name, text): (&str, &str)| {
            parse(&format!("library/{name}"), text, &known).unwrap_or_else(|t| panic!("{}", t.render()))
        };
        let types = step_types(&catalogue).into_iter().collect();
        Self { runbooks: embedded::runbooks().map(read).collect(), types }
    }

    /// What an attempt of this step does if all goes well.
    fn act(&self, uses: &Uses) -> Act {
        match uses {
            Uses::Plugin { plugin, step } => {
                let kind = &self.types[&format!("{plugin}.{step}")];
                ok(sample(&kind.output, &kind.output)).calls(writes(&kind.needs))
            }
            Uses::Runbook(name) => {
                let child =
                    self.runbooks.iter().find(|runbook| runbook.name == *name).expect("of the library");
                let outputs = child.outputs.iter().map(|(name, _)| (name.clone(), json!(1)));
                ok(Value::Object(outputs.collect()))
            }
            Uses::Sleep | Uses::AskPerson | Uses::ManualStep => ok(json!({})),
        }
    }

    fn simulator(&self, runbook: &Runbook, fate: Fate) -> Simulator {
        let plugins = embedded::catalogue();
        let plugins = plugins.plugins().map(|plugin| (plugin.name.clone(), plugin.digest.clone())).collect();
        let accepted = Accepted { parameters: parameters(runbook), plugins, ..accepted(runbook) };
        let mut run = Simulator::accepted(runbook.clone(), accepted);
        for (index, step) in runbook.steps.iter().chain(&runbook.finally).enumerate() {
            let acts = turned(self.act(&step.uses), fate, index);
            for path in paths(step) {
                run.script(&path, acts.clone());
            }
            if let Some(undo) = &step.undo {
                for path in paths(step) {
                    run.script(&format!("undo:{path}"), [self.act(&undo.uses)]);
                }
            }
        }
        if let Fate::Cancelled(after_ms) = fate {
            run.person(after_ms, cancel(true));
        }
        run.obliging = Some((true, Settlement::Retry));
        run
    }
}

/// What the attempts of the step at this place do.
fn turned(well: Act, fate: Fate, index: usize) -> Vec<Act> {
    let writes = well.writes.clone();
    match fate {
        Fate::Fails(failing) if failing == index => vec![broken().calls(writes)],
        Fate::FailsOnce(failing) if failing == index => {
            vec![fails(FailureKind::Unavailable).calls(writes), well]
        }
        Fate::Doubted(doubted) if doubted == index && !writes.is_empty() => vec![well.in_doubt()],
        _ => vec![well],
    }
}

fn paths(step: &Step) -> Vec<String> {
    let items = (0..THINGS).map(|item| format!("{}[{item}]", step.id));
    let plain = ["", "finally:"].map(|section| format!("{section}{}", step.id));
    items.chain(plain).collect()
}

/// The calls of a step type: each that changes anything, for each of the things.
fn writes(needs: &[String]) -> Vec<String> {
    let needs = needs.iter().filter(|need| need.rsplit('.').next() != Some("read"));
    (0..THINGS).flat_map(|_| needs.clone().cloned()).collect()
}

/// A plain value that a schema allows.
fn sample(root: &Value, schema: &Value) -> Value {
    let schema = resolved(root, schema).unwrap_or(schema);
    if let Some(first) = schema["enum"].get(0).or(schema.get("const")) {
        return first.clone();
    }
    if let Some(first) = schema["anyOf"].get(0).or(schema["oneOf"].get(0)) {
        return sample(root, first);
    }
    let kind = schema["type"].as_str().or(schema["type"][0].as_str());
    match kind {
        Some("object") => {
            let members = schema["properties"].as_object().cloned().unwrap_or_default();
            let members = members.iter().map(|(name, member)| (name.clone(), sample(root, member)));
            Value::Object(members.collect())
        }
        Some("array") => json!(vec![sample(root, &schema["items"]); THINGS]),
        Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(0).max(1)),
        Some("boolean") => json!(true),
        Some("string") => json!("shop"),
        _ => Value::Null,
    }
}

fn parameters(runbook: &Runbook) -> Value {
    let wanted = runbook.parameters.iter().filter(|parameter| parameter.default.is_none());
    let given: Map<String, Value> = wanted.map(|wanted| (wanted.name.to_string(), example(wanted))).collect();
    resolve(runbook, &given).unwrap_or_else(|troubles| panic!("`{}`: {troubles:?}", runbook.name))
}

fn example(wanted: &Parameter) -> Value {
    if let Some(first) = wanted.choices.first() {
        return first.clone();
    }
    match wanted.kind {
        ParameterType::String => json!("shop"),
        ParameterType::Integer | ParameterType::Number => json!(2),
        ParameterType::Boolean => json!(true),
        ParameterType::Duration => json!("2s"),
        ParameterType::Size => json!("64MiB"),
        ParameterType::List => json!(["shop"]),
        ParameterType::Map => json!({}),
    }
}

/// Cuts after every entry, with what was announced last done or not done; gives how many cuts that were.
fn carried_on(whole: &Simulator, status: EndStatus, place: &str) -> usize {
    let entries = whole.journal.len();
    assert!(entries < MOST_ENTRIES, "{place}: {entries} entries");
    for (_, event) in &whole.journal {
        let text = serde_json::to_string(event).expect("an event is written as JSON");
        assert_eq!(serde_json::from_str::<Event>(&text).ok().as_ref(), Some(event), "{place}: and read back");
    }
    for entries in 2..entries {
        for done in [false, true] {
            let mut cut = whole.cut_with(entries, done);
            assert_eq!(cut.run(), Some(status), "{place}: after {entries} entries, {done}");
            assert_eq!(cut.journal, whole.journal, "{place}: after {entries} entries, {done}");
            assert_eq!(cut.effects(), whole.effects(), "{place}: after {entries} entries, {done}");
        }
    }
    2 * (entries - 2)
}

fn fates(runbook: &Runbook) -> Vec<Fate> {
    let places = 0..runbook.steps.len() + runbook.finally.len();
    let mut fates = vec![Fate::Well, Fate::Cancelled(0), Fate::Cancelled(15)];
    for place in places {
        fates.extend([Fate::Fails(place), Fate::FailsOnce(place), Fate::Doubted(place)]);
    }
    fates
}

#[test]
fn every_prefix_of_every_runbook_leads_to_the_same_end() {
    let library = Library::read();
    let mut cuts = 0;
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for runbook in &library.runbooks {
        for fate in fates(runbook) {
            let place = format!("`{}`, {fate:?}", runbook.name);
            let mut whole = library.simulator(runbook, fate);
            let status = whole.run().unwrap_or_else(|| panic!("{place}: it does not end"));
            if fate == Fate::Well {
                assert_eq!(status, EndStatus::Succeeded, "{place}: {}", whole.end_message());
            }
            let effects = whole.effects();
            let twice = effects.windows(2).any(|pair| pair[0].0 == pair[1].0);
            assert!(!twice, "{place}: each write is done once: {effects:?}");
            cuts += carried_on(&whole, status, &place);
            *ends.entry(status.word()).or_default() += 1;
        }
    }
    assert!(library.runbooks.len() >= 13 && cuts > 2_000, "{} runbooks, {cuts} cuts", library.runbooks.len());
    for end in ["succeeded", "failed", "rolled-back", "cancelled"] {
        assert!(ends.contains_key(end), "no run ended as `{end}`: {ends:?}");
    }
}
