//! What the store keeps, and what it refuses.

use std::os::unix::fs::PermissionsExt as _;

use super::bed::{Bed, name, value};
use crate::{ErrorKind, NewKey};

#[test]
fn what_was_set_is_read_version_by_version() {
    let bed = Bed::new();
    assert_eq!((bed.set("api/token", "first"), bed.set("api/token", "second"), bed.set("b", "x")), (1, 2, 1));
    let store = bed.store();
    assert_eq!(bed.get("api/token").unwrap(), "second");
    assert_eq!(store.value(&name("api/token"), Some(1)).ok().unwrap().1.expose(), "first");
    let found = store.find(&name("api/token")).unwrap();
    assert_eq!((found.versions.len(), found.versions[1].by.as_str()), (2, "alice"));
    bed.remove("api/token", Some(2));
    assert_eq!(bed.get("api/token").unwrap(), "first");
    bed.remove("api/token", None);
    assert_eq!(bed.set("api/token", "third"), 3, "a number is never given twice");
}

#[test]
fn a_change_that_is_not_committed_never_was() {
    let bed = Bed::new();
    bed.set("a", "first");
    let files = bed.files().len();
    drop(bed.store().set(&name("a"), &value("second"), "alice").unwrap());
    drop(bed.store().remove(&name("a"), None).unwrap());
    drop(bed.store().rekey(NewKey::SamePlace, false).unwrap());
    assert_eq!(bed.get("a").unwrap(), "first");
    assert_eq!(bed.files().len(), files);
}

#[test]
fn everything_is_for_its_owner_alone_and_holds_no_value() {
    let bed = Bed::new();
    for number in 0..20 {
        bed.set(&format!("n{number}"), "canary-5f2a91");
    }
    for path in bed.files().into_iter().chain([bed.identity()]) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        let bytes = if path.is_dir() { Vec::new() } else { std::fs::read(&path).unwrap() };
        assert!(!bytes.windows(13).any(|window| window == b"canary-5f2a91"), "{}", path.display());
    }
    let folder = bed.identity().parent().unwrap().to_owned();
    assert_eq!(std::fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn without_its_key_nothing_opens_and_names_are_still_known() {
    let bed = Bed::new();
    bed.set("a", "first");
    let away = bed.path("away");
    std::fs::rename(bed.identity(), &away).unwrap();
    let error = bed.store().value(&name("a"), None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.way_out().unwrap().contains("RUNBOOK_SECRETS_KEY"));
    assert_eq!(bed.store().list().unwrap().len(), 1);
    assert_eq!(bed.store().set(&name("a"), &value("x"), "alice").err().unwrap().kind(), ErrorKind::Locked);
    assert!(!bed.identity().exists(), "no new key is made for a store that has one");
    let other = Bed::new();
    other.set("b", "y");
    std::fs::copy(other.identity(), bed.identity()).unwrap();
    let error = bed.store().value(&name("a"), None).err().unwrap();
    assert!(error.kind() == ErrorKind::Locked && error.to_string().contains("age1"), "{error}");
    std::fs::rename(&away, bed.identity()).unwrap();
    assert_eq!(bed.get("a").unwrap(), "first");
}

#[test]
fn a_damaged_file_is_named_whichever_it_is() {
    let bed = Bed::new();
    bed.set("a", "first");
    bed.set("b", "second");
    for path in bed.files().into_iter().chain([bed.identity()]).filter(|path| path.is_file()) {
        let good = std::fs::read(&path).unwrap();
        if good.is_empty() {
            continue;
        }
        for bad in [Vec::new(), good[..good.len() / 2].to_vec(), b"garbage".to_vec()] {
            std::fs::write(&path, &bad).unwrap();
            let errors: Vec<_> =
                ["a", "b"].iter().filter_map(|one| bed.store().value(&name(one), None).err()).collect();
            assert!(!errors.is_empty(), "{} may be anything", path.display());
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
                assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
                assert!(error.way_out().is_some());
            }
        }
        std::fs::write(&path, &good).unwrap();
    }
    assert_eq!((bed.get("a").unwrap(), bed.get("b").unwrap()), ("first".to_owned(), "second".to_owned()));
}

#[test]
fn a_lost_index_is_not_taken_for_an_empty_store() {
    let bed = Bed::new();
    bed.set("a", "first");
    let index = bed.data().join("secrets/index.json");
    let text = std::fs::read(&index).unwrap();
    std::fs::remove_file(&index).unwrap();
    let error = bed.store().set(&name("b"), &value("x"), "alice").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    std::fs::write(&index, text).unwrap();
    assert_eq!(bed.get("a").unwrap(), "first");
}

#[test]
fn a_file_in_the_place_of_another_is_seen() {
    let bed = Bed::new();
    bed.set("a", "first");
    bed.set("b", "second");
    let values: Vec<_> =
        bed.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "age")).collect();
    let (one, two) = (std::fs::read(&values[0]).unwrap(), std::fs::read(&values[1]).unwrap());
    std::fs::write(&values[0], two).unwrap();
    std::fs::write(&values[1], one).unwrap();
    assert!(bed.get("a").unwrap_err().contains("another secret"));
}

#[test]
fn the_key_is_never_made_in_the_data_directory() {
    let mut bed = Bed::new();
    bed.settings.identity = Some(bed.data().join("identity"));
    let error = bed.store().set(&name("a"), &value("x"), "alice").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!bed.data().join("identity").exists());
}

#[test]
fn an_unknown_name_comes_with_the_nearest() {
    let bed = Bed::new();
    bed.set("mail/password", "x");
    let error = bed.store().value(&name("mail/pasword"), None).err().unwrap();
    assert!(error.kind() == ErrorKind::NotFound && error.way_out().unwrap().contains("`mail/password`"));
    assert_eq!(bed.store().find(&name("zzz")).unwrap_err().kind(), ErrorKind::NotFound);
    let error = bed.store().value(&name("mail/password"), Some(7)).err().unwrap();
    assert!(error.to_string().contains("no version 7"), "{error}");
}

#[test]
fn two_at_once_both_happen() {
    let bed = Bed::new();
    bed.set("a", "0");
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let bed = &bed;
            scope.spawn(move || {
                for number in 0..5 {
                    bed.set("a", &format!("{lane}-{number}"));
                }
            });
        }
    });
    let found = bed.store().find(&name("a")).unwrap();
    assert_eq!(found.versions.last().unwrap().version, 21);
    assert_eq!(found.versions.len(), 10);
    assert_eq!(bed.files().iter().filter(|path| path.extension().is_some_and(|e| e == "age")).count(), 10);
}
