//! What the engine holds.

use std::time::Instant;

use super::bed::{Bed, name, value};
use crate::crypt::{self, Recipient};
use crate::{Directory, ErrorKind, NewKey};

fn outside(bed: &mut Bed, file: &str, text: &str) {
    let folder = bed.path("team");
    let path = folder.join(format!("{file}.age"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let recipient = Recipient::parse(&bed.store().recipient().unwrap().unwrap()).unwrap();
    std::fs::write(path, crypt::seal(&[recipient], text.as_bytes()).unwrap()).unwrap();
    if bed.settings.directories.is_empty() {
        bed.settings.directories.push(Directory { name: "team".to_owned(), path: folder });
    }
}

#[test]
fn a_change_is_seen_without_a_restart_and_old_versions_stay() {
    let bed = Bed::new();
    let keeper = bed.keeper();
    assert_eq!(keeper.current(&name("a")).unwrap_err().kind(), ErrorKind::NotFound);
    keeper.learn_all().unwrap();
    let mut versions = Vec::new();
    for text in ["first", "second", "third"] {
        bed.set("a", text);
        let version = keeper.current(&name("a")).unwrap();
        assert_eq!(keeper.value(&name("a"), &version).ok().unwrap().expose(), text);
        versions.push(version);
        bed.rekey(NewKey::SamePlace, true);
    }
    assert_eq!(versions[2].as_str(), "3");
    let fresh = bed.keeper();
    assert_eq!(fresh.value(&name("a"), &versions[0]).ok().unwrap().expose(), "first");
    bed.remove("a", Some(1));
    assert_eq!(fresh.value(&name("a"), &versions[0]).err().unwrap().kind(), ErrorKind::NotFound);
    bed.remove("a", None);
    assert_eq!(keeper.current(&name("a")).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(keeper.value(&name("a"), &versions[2]).err().unwrap().kind(), ErrorKind::NotFound);
}

#[test]
fn values_are_read_while_others_change_everything() {
    let bed = Bed::new();
    bed.set("a", "0");
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            for number in 1..=12 {
                bed.set("a", &number.to_string());
                bed.rekey(NewKey::SamePlace, false);
            }
        });
        while !changing.is_finished() {
            // A new one each time: it remembers nothing.
            let keeper = bed.keeper();
            let version = keeper.current(&name("a")).unwrap();
            let value = keeper.value(&name("a"), &version).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(value.expose().parse::<u64>().unwrap() + 1, version.as_str().parse::<u64>().unwrap());
        }
    });
}

#[test]
fn a_directory_of_age_files_is_a_store() {
    let mut bed = Bed::new();
    bed.set("own", "mine");
    outside(&mut bed, "mail/password", "theirs\n");
    outside(&mut bed, "Not A Name", "x");
    let keeper = bed.keeper();
    assert_eq!(keeper.names().unwrap(), [name("own"), name("team/mail/password")]);
    let mail = name("team/mail/password");
    let first = keeper.current(&mail).unwrap();
    assert_eq!(first.as_str().len(), 12);
    assert_eq!(keeper.value(&mail, &first).ok().unwrap().expose(), "theirs");
    outside(&mut bed, "mail/password", "new");
    let second = keeper.current(&mail).unwrap();
    assert_ne!(first, second);
    assert_eq!(keeper.value(&mail, &second).ok().unwrap().expose(), "new");
    let late = bed.keeper();
    assert_eq!(late.value(&mail, &first).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(late.current(&name("team/none")).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(bed.store().set(&name("team/x"), &value("y"), "alice").is_err());
    bed.rekey(NewKey::SamePlace, false);
    assert_eq!(bed.keeper().value(&mail, &second).ok().unwrap().expose(), "new", "the old key is kept");
    std::fs::write(bed.path("team/mail/password.age"), "garbage").unwrap();
    let third = late.current(&mail).unwrap();
    assert_eq!(late.value(&mail, &third).err().unwrap().kind(), ErrorKind::Damaged);
}

#[test]
fn a_missing_key_keeps_nobody_from_starting() {
    let bed = Bed::new();
    bed.set("a", "first");
    std::fs::remove_file(bed.identity()).unwrap();
    let keeper = bed.keeper();
    keeper.learn_all().unwrap();
    let version = keeper.current(&name("a")).unwrap();
    assert_eq!(keeper.value(&name("a"), &version).err().unwrap().kind(), ErrorKind::Locked);
}

#[test]
fn a_value_is_decrypted_once() {
    const USES: u32 = 2_000;
    let bed = Bed::new();
    for number in 0..100 {
        bed.set(&format!("n{number}"), "value-of-some-length");
    }
    let keeper = bed.keeper();
    let one = name("n50");
    let warm = |uses: u32| {
        let start = Instant::now();
        for _ in 0..uses {
            let version = keeper.current(&one).unwrap();
            drop(keeper.value(&one, &version).unwrap_or_else(|error| panic!("{error}")));
        }
        start.elapsed() / uses
    };
    let cold = warm(1);
    let took = warm(USES);
    assert!(took < cold, "a use takes {took:?}, the first took {cold:?}");
}

#[test]
fn the_scrubber_learns_what_was_replaced_and_what_is_new() {
    let bed = Bed::new();
    let keeper = bed.keeper();
    assert!(!keeper.has_news() && keeper.blind().is_none(), "there is no store");
    for version in 1..=4 {
        bed.set("rotated", &format!("rotated-value-{version}-of-keeping"));
    }
    assert!(keeper.has_news());
    keeper.learn_all().unwrap();
    assert!(!keeper.has_news());
    let said = |version: u32| crate::scrub::string(format!("<rotated-value-{version}-of-keeping>"));
    assert_eq!([2, 3, 4].map(said), ["<[secret rotated]>"; 3]);
    assert_eq!(said(1), "<rotated-value-1-of-keeping>", "three are enough");
    bed.set("fresh", "a-fresh-value-of-keeping");
    assert!(keeper.has_news());
    std::fs::rename(bed.identity(), bed.path("elsewhere")).unwrap();
    let blind = bed.keeper();
    blind.learn_all().unwrap();
    assert!(!blind.has_news() && blind.blind().is_some(), "what cannot be opened is not tried at every step");
}

#[test]
fn a_lost_index_and_a_pipe_are_told() {
    let bed = Bed::new();
    bed.set("a", "some value");
    let index = bed.path("data").join("secrets/index.json");
    let index = if index.exists() { index } else { bed.store().data_dir().join("secrets/index.json") };
    std::fs::remove_file(&index).unwrap();
    assert_eq!(bed.store().list().unwrap_err().kind(), ErrorKind::Damaged);
    let made = std::process::Command::new("mkfifo").arg(&index).status().unwrap();
    assert!(made.success());
    let error = bed.store().list().unwrap_err();
    assert!(error.to_string().contains("is not a regular file"), "{error}");
}
