//! Whatever is wrong is told with the way out, changes nothing, and repeats no value.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::bed::{self, CANARY, Home, hits};

#[test]
fn values_that_cannot_be_are_refused() {
    let home = Home::new();
    home.set("a", CANARY);
    let huge = vec![b'x'; 1 << 20];
    let cases: [(&[u8], &str); 5] = [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"abc\0def", "NUL"),
        (b"\xff\xfe\xfd", "UTF-8"),
        (&huge, "64 KiB"),
    ];
    for (bytes, word) in cases {
        let refused = home.stdin(&["secret", "set", "a"], bytes);
        assert_eq!(refused.code, 3, "{word}: {refused:?}");
        refused.says(&[word, "hint: "]);
    }
    home.engine.must(4, &["secret", "set", "a", "--file", "none"]).says(&["`none`"]);
    let short = home.stdin(&["secret", "set", "pin"], b"1234\n");
    assert_eq!(short.code, 0);
    short.says(&["warning:", "6 bytes"]);
    assert_eq!(home.reveal("a"), CANARY);
    assert_eq!(home.reveal("pin"), "1234");
    let largest = "y".repeat(64 * 1024);
    home.set("large", &largest);
    assert_eq!(home.reveal("large"), largest);
}

#[test]
fn a_value_on_the_command_line_is_refused_and_not_repeated() {
    let home = Home::new();
    let equals = format!("a={CANARY}");
    let option = format!("--value={CANARY}");
    let cases: [&[&str]; 5] = [
        &["secret", "set", "a", CANARY],
        &["secret", "set", &equals],
        &["secret", "set", "a", "--value", CANARY],
        &["secret", "set", "a", &option],
        &["secret", "set", "a", "--", CANARY],
    ];
    for arguments in cases {
        let refused = home.engine.must(2, arguments);
        refused.says(&["never taken from the command line", "stdin", "--file"]);
        assert!(!refused.said().contains(CANARY), "{refused:?}");
    }
    assert!(!home.engine.data().join("secrets").exists());
}

#[test]
fn names_that_cannot_be_or_are_not_there_are_told() {
    let home = Home::new();
    home.set("mail/password", CANARY);
    for bad in ["Mail", "a//b", "../a", "a/../b", "a b"] {
        home.engine.must(2, &["secret", "show", bad]).says(&["is not the name of a secret"]);
    }
    let unknown = home.engine.must(3, &["secret", "show", "mail/pasword", "--reveal"]);
    unknown.says(&["did you mean `mail/password`?"]);
    home.engine.must(3, &["secret", "remove", "mal/password", "--yes"]).says(&["did you mean"]);
    home.engine
        .must(3, &["secret", "show", "mail/password", "--version", "9", "--reveal"])
        .says(&["version 9"]);
    let empty = Home::new();
    empty.engine.must(3, &["secret", "export", "--to", "out.age"]).says(&["no secrets"]);
    empty.engine.must(0, &["secret", "list"]).says(&["runbook secret set"]);
}

#[test]
fn a_key_that_others_can_read_is_refused_until_it_is_tight() {
    let home = Home::new();
    home.set("a", CANARY);
    bed::loosen(&home.identity());
    let file = home.engine.write("value", "other");
    let cases: [&[&str]; 4] = [
        &["secret", "show", "a", "--reveal"],
        &["secret", "set", "a", "--file", &file],
        &["secret", "rekey"],
        &["secret", "export", "--to", "out.age"],
    ];
    for arguments in cases {
        home.engine.must(4, arguments).says(&["can be read by others", "chmod 600"]);
    }
    home.engine.run(&["doctor", "--no-services"]).says(&["can be read by others"]);
    bed::tighten(&home.identity());
    assert_eq!(home.reveal("a"), CANARY);
}

#[test]
fn a_damaged_store_is_told_file_by_file() {
    let home = Home::new();
    home.set("a", CANARY);
    let store = home.engine.data().join("secrets");
    let whole: Vec<PathBuf> = bed::files(&store).into_iter().filter(|path| path.is_file()).collect();
    let mut told = 0;
    for path in whole.iter().chain([&home.identity()]) {
        let good = std::fs::read(path).expect("a file");
        if good.is_empty() {
            continue;
        }
        for bad in [&good[..good.len() / 2], b"garbage".as_slice(), b""] {
            std::fs::write(path, bad).expect("written");
            let refused = home.engine.must(5, &["secret", "show", "a", "--reveal"]);
            refused.says(&["hint: ", &path.file_name().expect("a name").to_string_lossy()]);
            assert_ne!(home.engine.run(&["doctor", "--no-services"]).code, 0);
            told += 1;
        }
        std::fs::write(path, &good).expect("written");
    }
    assert_eq!(told, 9, "index, value and key");
    assert_eq!(home.reveal("a"), CANARY);
}

/// A small disk of its own in the place of the store.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn under(store: &Path) -> Self {
        let aside = store.with_file_name("aside");
        std::fs::rename(store, &aside).expect("moved");
        std::fs::create_dir(store).expect("a folder");
        let options = ["-t", "tmpfs", "-o", "size=256k,mode=0700", "none"];
        let mounted = Command::new("mount").args(options).arg(store).status().expect("mount");
        assert!(mounted.success(), "the tests are run as root: tests/scripts/setup.sh");
        let disk = Self(store.to_owned());
        let copied = Command::new("cp").arg("-a").arg(format!("{}/.", aside.display())).arg(store).status();
        assert!(copied.expect("cp").success());
        disk
    }

    /// Leaves so many KiB.
    fn fill(&self, left_kib: u64) {
        let filler = self.0.join("filler");
        let mut bytes = 256;
        while std::fs::write(&filler, vec![0; bytes * 1024]).is_err() {
            bytes -= 4;
        }
        let size = bytes as u64 - left_kib.min(bytes as u64);
        std::fs::File::options()
            .write(true)
            .open(filler)
            .and_then(|file| file.set_len(size * 1024))
            .expect("cut");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_old_version() {
    let home = Home::new();
    home.set("a", CANARY);
    let disk = SmallDisk::under(&home.engine.data().join("secrets"));
    let file = home.engine.write("value", &"z".repeat(30_000));
    let mut failed = 0;
    for left_kib in [0, 4, 8, 16, 24, 28, 32, 36] {
        disk.fill(left_kib);
        for arguments in [vec!["secret", "set", "a", "--file", &file], vec!["secret", "rekey"]] {
            let before = home.entries().len();
            let ended = home.engine.run(&arguments);
            if ended.code == 0 {
                continue;
            }
            failed += 1;
            assert_eq!(ended.code, 4, "{left_kib} KiB: {ended:?}");
            ended.says(&["no space left", "nothing was changed"]);
            assert_eq!(home.entries().len(), before, "nothing happened, so nothing is told");
            home.reveal("a");
        }
    }
    assert!(failed >= 4, "only {failed} were stopped by the disk");
    drop(std::fs::remove_file(home.engine.data().join("secrets/filler")));
    home.set("a", "after");
    assert_eq!(home.reveal("a"), "after");
    assert_eq!(hits(home.engine.data()), Vec::<String>::new());
}
