//! What plugins keep beside the audit log is bounded; a run goes on without it.

use std::path::Path;
use std::process::Command;

use crate::support::books;
use crate::support::engine::Engine;
use crate::support::service::Service;

/// Keeps an artifact, and does something else whether or not that worked.
const STEPS: &str = r#"
  - id: collect
    uses: diagnose.collect
    with: { service: "${{ parameters.service }}", events_for: 1s }
    on_failure: continue
  - id: after
    uses: core.log
    with: { message: went on }
"#;

/// What is kept beside the log.
fn kept_bytes(data: &Path) -> u64 {
    let sql = "SELECT sum(length(bytes)) FROM blob";
    let output = Command::new("sqlite3").arg(data.join("audit.db")).arg(sql).output().expect("sqlite3");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

/// What `doctor` says of the quota: status and words.
fn looked(engine: &Engine) -> (String, String) {
    let checks = engine.json(&["doctor", "--no-services"]);
    let checks = checks["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == "audit quota").expect("the quota");
    (check["status"].as_str().unwrap_or_default().to_owned(), check.to_string())
}

#[test]
fn is_refused_to_what_would_be_kept_and_stops_nothing_else() {
    let service = Service::of(1).up();
    let mut engine = Engine::new();
    let book = engine.write("keep.yaml", &books::steps("read", STEPS));
    let parameter = service.parameter();
    let run = ["run", book.as_str(), "-p", parameter.as_str()];

    // The next artifact may be somewhat larger than one of these.
    for _ in 0..3 {
        engine.must(0, &run).says(&["2 steps succeeded"]);
    }
    assert_eq!(looked(&engine).0, "ok");

    // Room for less than another artifact.
    let used = kept_bytes(engine.data());
    engine.set("RUNBOOK_AUDIT_QUOTA", format!("{}B", used + 100));
    engine.must(0, &["config", "show"]).says(&["audit.quota", "RUNBOOK_AUDIT_QUOTA"]);
    let (status, words) = looked(&engine);
    assert!(status == "warn" && words.contains("runbook audit prune --older-than 30d"), "{words}");
    let refused = ["artifacts.quota", "kept beside the audit log", "`[audit] quota`"];
    engine.run(&["plan", book.as_str(), "-p", parameter.as_str()]).says(&refused[1..]);
    let ended = engine.must(10, &run);
    ended.says(&refused[1..]);
    ended.says(&["after succeeded", "went on"]);
    let failed = engine.last().to_string();
    assert!(refused.iter().all(|words| failed.contains(words)), "{failed}");
    engine.must(0, &["runs", "replay", "last"]).says(&["identical"]);

    engine.must(0, &["audit", "prune", "--older-than", "0s"]).says(&["forgot"]);
    assert!(kept_bytes(engine.data()) < used);
    engine.must(0, &run).says(&["2 steps succeeded"]);
    engine.must(0, &["audit", "verify"]);

    engine.set("RUNBOOK_AUDIT_QUOTA", "0B");
    engine.must(3, &["config", "show"]).says(&["RUNBOOK_AUDIT_QUOTA", "would let nothing be kept", "hint:"]);
}
