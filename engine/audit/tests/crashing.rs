//! Acknowledged means durable: the process killed at any moment, the disk full.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use super::super::{Draft, Error, Reader, StateChange, VerifyOptions, verify};
use super::{fact, of_run, open, run};

/// Where the child is to write; set only by the test that starts it.
const CHILD_DIR: &str = "RUNBOOK_TEST_AUDIT_CHILD";

/// Not a test by itself: the process that is killed. Writes down what was acknowledged, one line each.
#[test]
#[expect(clippy::disallowed_methods, reason = "only the parent's environment tells the child that it is one")]
fn child() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let audit = open(Path::new(&dir));
    let name = format!("acknowledged-{}", std::process::id());
    let file = Mutex::new(File::create(Path::new(&dir).join(name)).unwrap());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (audit, file) = (&audit, &file);
            scope.spawn(move || {
                for n in 0.. {
                    let value = format!("{}-{thread}-{n}", std::process::id());
                    let set =
                        StateChange::Set { bucket: "b".into(), key: thread.to_string(), value: json!(value) };
                    let draft = Draft { state: vec![set], ..fact(json!(value)) };
                    let appended = audit.append_blocking(vec![draft], None).unwrap();
                    writeln!(file.lock().unwrap(), "{} {value}", appended.last_seq).unwrap();
                }
            });
        }
    });
}

#[test]
fn what_was_acknowledged_before_a_kill_is_found_after_it() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crashing::child", "--nocapture"])
            .env(CHILD_DIR, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let acknowledged = dir.path().join(format!("acknowledged-{}", child.id()));
        let lines = || std::fs::read_to_string(&acknowledged).unwrap_or_default();
        let patience = Instant::now() + Duration::from_secs(30);
        while lines().lines().count() < 20 + round * 7 && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();

        let audit = open(dir.path());
        let reader = Reader::open(dir.path()).unwrap();
        let text = lines();
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        assert!(whole.lines().count() >= 20, "the child did not get to work");
        for line in whole.lines() {
            let (seq, value) = line.split_once(' ').unwrap();
            let entry = reader.entry(seq.parse().unwrap()).unwrap();
            assert_eq!(entry.unwrap().data, json!(value), "acknowledged, then lost");
        }
        audit.append_blocking(vec![of_run(&run(1), "run.resumed")], None).unwrap();
        drop(audit);
        verify(dir.path(), &VerifyOptions::default()).unwrap();
    }
}

/// A file system of its own that can be filled; none where mounting is not allowed.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(at)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn on_a_full_disk_the_reserve_lets_the_end_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path(), "4m") else { return };
    let audit = open(dir.path());
    assert!(!audit.reserve_spent());
    let mut acknowledged = 0_u64;
    while !audit.reserve_spent() {
        audit.append_blocking(vec![fact(json!("x".repeat(3000)))], None).unwrap();
        acknowledged += 1;
    }
    // The append that met the full disk was itself written, and so is the end of the run.
    let end = vec![of_run(&run(1), "run.finished")];
    audit.append_blocking(end, None).unwrap();
    acknowledged += 1;
    let error = loop {
        match audit.append_blocking(vec![fact(json!("x".repeat(3000)))], None) {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error, Error::Full);
    drop(audit);
    assert_eq!(verify(dir.path(), &VerifyOptions::default()).unwrap().entries, acknowledged);
}

/// Until not one byte is free.
fn fill(dir: &Path) {
    let mut file = File::create(dir.join("filler")).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if file.write_all(&vec![1; size]).is_err() {
            size /= 2;
        }
    }
}

#[test]
fn a_disk_that_filled_up_while_nobody_wrote_is_no_reason_not_to_read_or_to_open() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::mount(dir.path(), "4m") else { return };
    open(dir.path()).append_blocking(vec![fact(json!("before"))], None).unwrap();
    fill(dir.path());
    assert_eq!(Reader::open(dir.path()).unwrap().last_seq().unwrap(), 1);
    assert_eq!(verify(dir.path(), &VerifyOptions::default()).unwrap().entries, 1);
    assert!(dir.path().join("reserve").exists(), "a reader gives nothing up");

    let audit = open(dir.path());
    assert!(audit.reserve_spent() && !dir.path().join("reserve").exists());
    audit.append_blocking(vec![fact(json!("the end"))], None).unwrap();
    assert_eq!(Reader::open(dir.path()).unwrap().last_seq().unwrap(), 2);
    audit.close().unwrap();
    drop(audit);

    // Nothing is left to be given up.
    fill(dir.path());
    let refused = super::super::Audit::open(dir.path(), &super::super::Options::default()).err();
    assert_eq!(refused, Some(Error::Full));
    assert_eq!(Reader::open(dir.path()).unwrap().last_seq().unwrap(), 2);
}

#[cfg(feature = "fault")]
mod faults {
    use super::*;

    fn child_with(dir: &Path, fault: &str) -> std::process::ExitStatus {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::crashing::child", "--nocapture"])
            .env(CHILD_DIR, dir)
            .env("RUNBOOK_FAULT", fault)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
    }

    #[test]
    fn killed_around_a_commit_the_log_is_whole() {
        for fault in ["audit.before-commit:3:kill", "audit.after-commit:3:kill"] {
            let dir = tempfile::tempdir().unwrap();
            assert!(!child_with(dir.path(), fault).success());
            drop(open(dir.path()));
            assert!(verify(dir.path(), &VerifyOptions::default()).unwrap().entries >= 2);
        }
    }

    #[test]
    fn an_error_at_the_commit_ends_every_append() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!child_with(dir.path(), "audit.before-commit:4:error").success());
        drop(open(dir.path()));
        verify(dir.path(), &VerifyOptions::default()).unwrap();
    }
}
