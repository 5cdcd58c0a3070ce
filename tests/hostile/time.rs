//! Plugins that do not end.

use std::net::TcpListener;

use super::arena::{Arena, Case};
use super::component::{Arg, Guest, forever};
use crate::support::service::Service;

/// Loops that the end of the step's time must end.
fn endless() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, wasm| cases.push(Case::new(name, wasm).within("2s"));
    case("spin", Guest::new().does(&forever("")));
    let mut guest = Guest::new();
    let sleep = guest.call("clock.sleep", &[Arg::Long(60_000)]);
    case("sleep", guest.does(&forever(&sleep)));
    let mut guest = Guest::new();
    let write = guest.call("log.write", &[Arg::Number(1), Arg::Text("x")]);
    case("log", guest.does(&forever(&write)));
    let mut guest = Guest::new();
    let report = guest.call("progress.report", &[Arg::Number(1), Arg::Number(2), Arg::Text("x")]);
    case("progress", guest.does(&forever(&report)));
    case(
        "fill",
        Guest::new().does(&format!(
            "(drop (memory.grow (i32.const 512))) {}",
            forever("(memory.fill (i32.const 131072) (i32.const 1) (i32.const 33554432))")
        )),
    );
    cases
}

fn granting(own: &Service, port: u16) -> String {
    let name = own.name();
    format!(
        "grants:\n  http: [\"http://127.0.0.1:{port}/\"]\n  containers:\n    select: {{ service: {name} }}\n    actions: [read, exec]"
    )
}

/// What the host waits for on a plugin's behalf.
fn waiting(own: &str, port: u16) -> Vec<Case> {
    use Arg::{Long, Maybe, Number, Pairs, Text};
    let hour = Long(3_600_000);
    let mut cases = Vec::new();
    let mut case = |name, function: &str, arguments: &[Arg<'_>]| {
        let mut guest = Guest::new();
        let call = guest.call(function, arguments);
        cases.push(Case::new(name, guest.does(&forever(&call))).within("2s"));
    };
    let url = format!("http://127.0.0.1:{port}/");
    let request = |method| [Text(method), Text(&url), Pairs(&[]), Maybe(None), hour, Number(1)];
    case("get", "http.send", &request("GET"));
    case("wait", "containers.wait-until", &[Text(own), Number(2), Long(0), hour]);
    cases
}

#[test]
fn what_never_answers_is_not_waited_for() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let own = Service::of(1).up();
    let cases = waiting(&own.replica(1), port);
    let arena = Arena::of(&cases);
    let grants = granting(&own, port);
    let told = arena.run(&grants, &cases);
    for case in &cases {
        assert_eq!(told.end_of(case.name), "step.deadline", "{}", case.name);
        let calls = told.calls(case.name);
        // Whose clock is the first to strike.
        let timed_out = matches!(calls[0].1.as_str(), "host.timed-out" | "http.failed");
        assert!(timed_out && calls.len() <= 3, "{}: {calls:?}", case.name);
    }
    arena.end(&told);
}

/// Changes whose end cannot be seen: they are left in doubt, at once.
#[test]
fn what_may_still_happen_is_left_in_doubt() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = silent.local_addr().expect("its address").port();
    let own = Service::of(1).up();
    let url = format!("http://127.0.0.1:{at}/");
    let hour = Arg::Long(3_600_000);
    let mut guest = Guest::new();
    let words = [Arg::Text("POST"), Arg::Text(&url), Arg::Pairs(&[]), Arg::Maybe(None), hour, Arg::Number(0)];
    let sending = guest.call("http.send", &words);
    let post = Case::new("post", guest.does(&forever(&sending))).within("2s");
    let mut guest = Guest::new();
    let name = own.replica(1);
    let words = [Arg::Text(&name), Arg::List(&["sleep", "60"]), Arg::Pairs(&[]), Arg::Maybe(None), hour];
    let running = guest.call("containers.exec", &words);
    let exec = Case::new("exec", guest.does(&forever(&running))).within("2s");
    let cases = [post, exec];
    let arena = Arena::of(&cases);
    let grants = granting(&own, at);

    let told = arena.rest(&grants, &cases);

    let doubted: Vec<_> = told.of_kind("call.doubted").iter().map(|entry| &entry["data"]["path"]).collect();
    // The command was ended in its container; what a server may still do nobody can end.
    assert_eq!(doubted, ["post"]);
    assert_eq!(told.of_kind("call.intended").len(), 2, "neither was made again");
    arena.end(&told);
}

#[test]
fn what_does_not_end_is_ended() {
    let cases = endless();
    let arena = Arena::of(&cases);
    let told = arena.run("", &cases);
    for case in &cases {
        let end = told.end_of(case.name);
        // Filling memory costs fuel by the byte: a fast machine uses it up before the time is over.
        let ended = end == "step.deadline" || case.name == "fill" && end == "plugin.fuel";
        assert!(ended, "{}: {end}", case.name);
    }
    arena.end(&told);
}
