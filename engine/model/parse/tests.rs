//! The example of the documentation parses, every broken runbook is told about in the words of its `.txt`, and no text can
//! make the parser panic.

mod catalogue;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use expect_test::expect_file;
use proptest::prelude::{ProptestConfig, any, prop_oneof, proptest};
use proptest::strategy::Strategy;
use serde_json::json;

use super::{ChildSignature, Known, lints, parse, parse_accepted, peek, signature};
use crate::runbook::{CatchUp, Matcher, Risk, Runbook, Template, TriggerSource};
use crate::trouble::Troubles;
use words::ids::{RunbookName, StepId};

/// The example of the reference.
const EXAMPLE: &str = include_str!("tests/example.yaml");

fn read(file: &str, text: &str) -> Result<Runbook, Troubles> {
    let child = signature(EXAMPLE).unwrap();
    let runbooks = BTreeMap::from([
        (RunbookName::new("service-restart").unwrap(), child),
        (RunbookName::new("diagnose-service").unwrap(), ChildSignature::default()),
    ]);
    parse(file, text, &Known { catalogue: &catalogue::small(), runbooks: &runbooks })
}

fn told(text: &str) -> String {
    match read("test.yaml", text) {
        Ok(_) => String::new(),
        Err(troubles) => troubles.render(),
    }
}

#[test]
fn the_example_is_understood() {
    let runbook =
        read("service-restart.yaml", EXAMPLE).unwrap_or_else(|troubles| panic!("{}", troubles.render()));
    assert_eq!((runbook.name.as_str(), runbook.risk), ("service-restart", Risk::Medium));
    assert_eq!(runbook.timeout, Duration::from_mins(30));
    assert_eq!(runbook.resume_within, Duration::from_mins(15));
    let names: Vec<&str> = runbook.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["service", "grace", "batch"]);
    assert_eq!(runbook.parameters[2].maximum, Some(json!(20)));
    let TriggerSource::Schedule { cron, timezone, catch_up, .. } = &runbook.triggers[0].source else {
        panic!()
    };
    assert_eq!(
        (cron.as_str(), timezone.as_str(), *catch_up),
        ("30 2 * * sun", "Europe/Berlin", CatchUp::None)
    );
    let TriggerSource::Alert { labels, throttle } = &runbook.triggers[1].source else { panic!() };
    assert_eq!(labels[1], ("severity".to_owned(), Matcher::Equal("critical".to_owned())));
    assert_eq!(throttle.as_ref().unwrap().0, Duration::from_mins(10));
    let needs: Vec<Vec<&str>> =
        runbook.steps.iter().map(|step| step.needs.iter().map(StepId::as_str).collect()).collect();
    assert_eq!(needs, [vec![], vec!["before"], vec!["restart"]]);
    let probe = &runbook.steps[2];
    assert_eq!(probe.until.as_ref().unwrap().every, Duration::from_secs(3));
    assert_eq!(probe.timeout, Duration::from_mins(1));
    let Template::Map(with) = &probe.with else { panic!() };
    assert_eq!(with[1], ("port".to_owned(), Template::Value(json!(8080))));
    assert_eq!(runbook.grants.containers[0].line, 25);
    assert_eq!(runbook.finally[0].needs, []);
    assert_eq!(runbook.outputs[0].0, "restarted");
    assert_eq!(
        peek(EXAMPLE).unwrap().summary,
        "Restart a service one container at a time, waiting for health."
    );
    let lints: Vec<String> =
        lints("service-restart.yaml", &runbook).into_iter().map(|lint| lint.message).collect();
    assert_eq!(lints, ["it fires between 00:00 and 03:59 in `Europe/Berlin`, where clocks change at night"]);
}

/// Every `tests/broken/*.yaml` and what is told of it, kept beside it; `UPDATE_EXPECT=1` writes the texts anew.
#[test]
fn every_broken_runbook_is_told_about() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/broken");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 40, "{} broken runbooks", files.len());
    for file in files {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let troubles = read(&name, &text).expect_err(&name);
        for trouble in &troubles.troubles {
            assert!(trouble.line > 0, "{name} has places: {trouble:?}");
            assert!(trouble.hint.is_some(), "{name} has hints: {trouble:?}");
        }
        expect_file![file.with_extension("txt")].assert_eq(&troubles.render());
    }
}

#[test]
fn the_library_finds_runbooks_by_name() {
    let error = read("library/restart", EXAMPLE).unwrap_err();
    assert_eq!(
        error.troubles[0].message,
        "the library calls it `restart` and it calls itself `service-restart`"
    );
    assert!(read("library/service-restart", EXAMPLE).is_ok());
}

#[test]
fn small_runbooks_need_little() {
    let text =
        "format: 1\nrunbook: hello\nsteps:\n  - id: hi\n    uses: core.log\n    with: { message: hello }\n";
    let runbook = read("hello.yaml", text).unwrap_or_else(|troubles| panic!("{}", troubles.render()));
    assert_eq!(runbook.risk, Risk::Low);
    assert_eq!(runbook.steps[0].timeout, super::DEFAULT_STEP_TIMEOUT);
    assert_eq!(runbook.timeout, super::DEFAULT_RUN_TIMEOUT);
}

#[test]
fn a_long_list_may_be_written_out() {
    let text = |count: usize, last: &str| {
        let names: Vec<String> = (0..count).map(|n| format!("shop/web-{n}")).collect();
        let names = names.join(", ");
        format!(
            "format: 1\nrunbook: long\nsteps:\n  - id: each\n    uses: core.log\n    for_each: [{names}{last}]\n    with: {{ message: \"${{{{ item }}}}\" }}\n"
        )
    };
    let long = text(1_000, "");
    let runbook = read("long.yaml", &long).unwrap_or_else(|troubles| panic!("{}", troubles.render()));
    let items = &runbook.steps[0].for_each.as_ref().unwrap().items;
    let items = items.items(&crate::expression::Scope::default()).unwrap();
    assert_eq!((items.len(), &items[999]), (1_000, &json!("shop/web-999")));
    assert!(told(&text(1_001, "")).contains("there are more than 1000 items"));
    assert!(told(&text(300, ", \"${{ run.id }}\"")).contains("counts as one expression"));
}

#[test]
fn a_service_that_no_grant_names_is_wrong_or_worth_a_second_look() {
    let text = |granted: &str, service: &str| {
        format!(
            "format: 1\nrunbook: test\nsummary: Look.\ngrants:\n  containers: {{ select: {granted}, actions: [read] }}\nsteps:\n  - id: look\n    summary: Look.\n    uses: service.status\n    with: {{ service: {service} }}\n"
        )
    };
    for (granted, service) in [
        ("{ service: shop/web }", "shop/api"),
        ("{ project: shop }", "blog/web"),
        ("{ service: web }", "\"\""),
    ] {
        assert!(!told(&text(granted, service)).is_empty(), "{granted} {service}");
    }
    for (granted, service, linted) in [
        ("{ service: shop/web }", "shop/web", false),
        ("{ service: web }", "shop/web", false),
        ("{ service: shop/web }", "shop-web-1", false),
        ("{ service: web }", "api", true),
        ("{ service: shop/web }", "api", true),
        ("{ project: shop }", "shop/web", false),
        ("{ label: a=b }", "anything", false),
    ] {
        let runbook = read("test.yaml", &text(granted, service));
        let runbook = runbook.unwrap_or_else(|troubles| panic!("{}", troubles.render()));
        assert_eq!(!lints("test.yaml", &runbook).is_empty(), linted, "{granted} {service}");
    }
}

#[test]
fn lists_and_people_and_children_are_understood() {
    let text = include_str!("tests/wide.yaml");
    let runbook = read("wide.yaml", text).unwrap_or_else(|troubles| panic!("{}", troubles.render()));
    let step = |id: &str| runbook.steps.iter().find(|step| step.id.as_str() == id).unwrap();
    assert_eq!(
        step("each").for_each.as_ref().unwrap().items.text(),
        "[\"a\", (parameters.service), \"x-\" + string(parameters.batch)]"
    );
    assert!(step("each").for_each.as_ref().unwrap().canary);
    assert_eq!(step("approve").timeout, super::DEFAULT_RUN_TIMEOUT);
    assert_eq!(step("both").needs.len(), 2);
    assert_eq!(step("restart").undo.as_ref().unwrap().uses.to_string(), "service.restart");
    assert_eq!(told(text), "");
}

#[test]
fn what_was_accepted_once_is_read_again_though_it_is_found_fault_with() {
    let known = Known { catalogue: &catalogue::small(), runbooks: &BTreeMap::new() };
    let steps = |with: &str| {
        format!(
            "format: 1\nrunbook: a\nsteps:\n  - id: a\n    uses: service.restart\n    with: {with}\n  - {{ id: b }}\n"
        )
    };
    let checked = steps("{ servise: web }").replace("  - { id: b }\n", "");
    assert!(parse("a.yaml", &checked, &known).is_err());
    assert_eq!(parse_accepted("a.yaml", &checked, &known).unwrap().steps.len(), 1);
    let unreadable = steps("{ service: web }");
    assert!(parse_accepted("a.yaml", &unreadable, &known).is_err(), "a step would be missing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_text_panics(text in prop_oneof![
        any::<String>(),
        any::<Vec<u8>>().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        // The example with a piece cut out and another put in.
        (0..EXAMPLE.len(), 0..200_usize, "[a-z{}\\[\\]:$\"' \n-]{0,12}").prop_map(|(start, length, put)| {
            let end = (start + length).min(EXAMPLE.len());
            let (before, after) = (EXAMPLE.get(..start), EXAMPLE.get(end..));
            format!("{}{put}{}", before.unwrap_or_default(), after.unwrap_or_default())
        }),
    ]) {
        if let Err(troubles) = read("any.yaml", &text) {
            assert!(!troubles.troubles.is_empty());
            let _ = troubles.render();
        }
        let _ = (peek(&text), signature(&text));
    }
}
