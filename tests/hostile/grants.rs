//! Plugins that reach for containers they were not given, under every name.

use super::arena::{Arena, Case};
use super::component::{Arg, Guest};
use crate::support::service::Service;

/// Reads one container or more by a name.
const ONE_NAME: [&str; 9] = [
    "containers.service",
    "containers.project",
    "containers.inspect",
    "containers.start",
    "containers.pause",
    "containers.unpause",
    "containers.top",
    "containers.document",
    "containers.logs",
];

/// The plugins that do so.
const READERS: [&str; 9] =
    ["by-service", "by-project", "inspect", "start", "pause", "unpause", "top", "document", "logs"];

/// What `victim` may be called by somebody who must not find it.
fn spellings(victim: &Service, own: &Service) -> Vec<String> {
    let (id, name) = (victim.inspect(1, "{{.Id}}"), victim.replica(1));
    let own_name = own.replica(1);
    vec![
        id.clone(),
        id[..12].to_owned(),
        id[..63].to_owned(),
        id.to_uppercase(),
        name.clone(),
        format!("/{name}"),
        name.to_uppercase(),
        format!("{name}\n"),
        format!("{name}\0"),
        format!(" {name}"),
        format!("{own_name}\n{name}"),
        format!("{own_name}/../{name}"),
        format!("../containers/{name}"),
        format!("%2e%2e%2fcontainers%2f{name}"),
        format!("{own_name}?x={name}"),
        format!("{own_name}#{name}"),
        name.replace('e', "\u{435}").replace('g', "\u{261}"),
        format!("{name}\u{200b}"),
        format!("{name}\u{202e}"),
        victim.name(),
        format!("{}/", victim.name()),
        format!("{}/web/../../{}", own.project(), victim.name()),
        format!("{}/*", victim.project()),
        victim.project().to_owned(),
        "web".to_owned(),
        "*".to_owned(),
        String::new(),
        "x".repeat(5_000),
    ]
}

fn each(name: &'static str, spellings: &[String], call: impl Fn(&mut Guest, &str) -> String) -> Case {
    let mut guest = Guest::new();
    let body: Vec<String> = spellings.iter().map(|spelling| call(&mut guest, spelling)).collect();
    Case::new(name, guest.does(&body.join("\n")))
}

fn by_any_name(victim: &[String], own: &str) -> Vec<Case> {
    use Arg::{List, Long, Maybe, MaybeList, Number, Pairs, Text};
    let mut cases: Vec<Case> = ONE_NAME
        .into_iter()
        .map(|function| {
            let more: &[Arg<'_>] =
                if function == "containers.logs" { &[Number(100), Number(0)] } else { &[] };
            let name = READERS[ONE_NAME.iter().position(|known| *known == function).expect("one of them")];
            each(name, victim, |guest, text| guest.call(function, &[&[Text(text)], more].concat()))
        })
        .collect();
    cases.push(each("stop", victim, |g, text| g.call("containers.stop", &[Text(text), Long(0)])));
    cases.push(each("kill", victim, |g, text| g.call("containers.kill", &[Text(text), Text("KILL")])));
    cases.push(each("remove", victim, |g, text| g.call("containers.remove", &[Text(text), Number(1)])));
    cases.push(each("rename", victim, |g, text| g.call("containers.rename", &[Text(text), Text("mine")])));
    cases.push(each("update", victim, |g, text| {
        g.call("containers.update", &[Text(text), Long(1), Long(0), Long(0)])
    }));
    cases.push(each("wait-until", victim, |g, text| {
        g.call("containers.wait-until", &[Text(text), Number(1), Long(0), Long(10)])
    }));
    cases.push(each("exec", victim, |g, text| {
        g.call(
            "containers.exec",
            &[Text(text), List(&["kill", "1"]), Pairs(&[("A", "b")]), Maybe(Some("x")), Long(1_000)],
        )
    }));
    cases.push(each("create", victim, |g, text| {
        let overrides = [List(&[]), List(&[]), Maybe(None), MaybeList(None), Number(1), Number(0)];
        g.call("containers.create", &[&[Text(text), Text("copy")][..], &overrides].concat())
    }));
    cases.push(each("names", victim, |g, text| g.call("containers.rename", &[Text(own), Text(text)])));
    cases
}

/// Everything, but only to its own service.
fn everything(own: &Service) -> String {
    format!(
        "grants:\n  containers:\n    select: {{ service: {} }}\n    actions: [read, restart, kill, pause, create, update, exec]\n    max_unavailable: 1",
        own.name()
    )
}

#[test]
fn another_service_by_any_name() {
    let (own, victim) = std::thread::scope(|scope| {
        let own = scope.spawn(|| Service::of(1).up());
        (own.join().expect("a service"), Service::of(1).up())
    });
    let spelt = spellings(&victim, &own);
    let cases = by_any_name(&spelt, &own.replica(1));
    let arena = Arena::of(&cases);
    let (mark, own_mark) = (victim.events.mark(), own.events.mark());

    let told = arena.run(&everything(&own), &cases);

    assert_eq!(victim.events.writes(mark), [], "what was not granted");
    assert_eq!(own.events.writes(own_mark), [], "nor was anything of its own asked for");
    for case in &cases {
        let calls = told.calls(case.name);
        assert_eq!((told.end_of(case.name).as_str(), calls.len()), ("ok", spelt.len()), "{}", case.name);
        let passed: Vec<_> = calls.iter().zip(&spelt).filter(|((_, code), _)| code == "ok").collect();
        assert!(passed.is_empty(), "{}: {passed:?}", case.name);
        assert!(calls.iter().any(|(_, code)| code == "grant.containers"), "{}: {calls:?}", case.name);
    }
    arena.end(&told);
}
