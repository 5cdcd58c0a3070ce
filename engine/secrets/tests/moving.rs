//! Other keys, exports and the way back.

use std::sync::Arc;

use super::bed::{Bed, name, value};
use crate::{ErrorKind, Existing, For, NewKey, With};

fn keys(bed: &Bed) -> String {
    std::fs::read_to_string(bed.identity()).unwrap()
}

#[test]
fn a_new_key_opens_and_the_old_one_stays_unless_it_is_to_be_forgotten() {
    let bed = Bed::new();
    bed.set("a", "1");
    bed.set("a", "2");
    let first = bed.store().recipient().unwrap().unwrap();
    bed.rekey(NewKey::SamePlace, false);
    let second = bed.store().recipient().unwrap().unwrap();
    assert_ne!(first, second);
    assert!(keys(&bed).contains(&first) && keys(&bed).contains("# replaced"));
    assert_eq!(bed.store().value(&name("a"), Some(1)).ok().unwrap().1.expose(), "1");
    bed.rekey(NewKey::SamePlace, true);
    assert!(!keys(&bed).contains(&first) && !keys(&bed).contains(&second));
    assert_eq!(bed.get("a").unwrap(), "2");
}

#[test]
fn the_key_moves_to_another_file_and_behind_a_passphrase_and_back() {
    let mut bed = Bed::new();
    bed.set("a", "1");
    let other = bed.path("elsewhere/key");
    bed.rekey(NewKey::File(other.clone()), false);
    assert!(bed.get("a").unwrap_err().contains("does not open"));
    bed.settings.identity = Some(other.clone());
    assert_eq!(bed.get("a").unwrap(), "1");
    bed.rekey(NewKey::Passphrase(Arc::new(value("correct horse"))), false);
    let error = bed.store().value(&name("a"), None).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(bed.store().wants_passphrase().unwrap());
    bed.passphrase("wrong horse");
    assert!(bed.get("a").unwrap_err().contains("the passphrase does not open"));
    assert!(bed.store().set(&name("a"), &value("2"), "alice").is_err());
    bed.passphrase("correct horse");
    assert_eq!(bed.get("a").unwrap(), "1");
    bed.rekey(NewKey::SamePlace, true);
    assert_eq!(bed.get("a").unwrap(), "1");
    let third = bed.path("third");
    bed.rekey(NewKey::File(third.clone()), false);
    bed.settings.identity = Some(third);
    assert_eq!(bed.get("a").unwrap(), "1");
    assert!(!bed.files().iter().any(|path| path.to_string_lossy().contains("identity-")));
}

#[test]
fn a_key_from_the_environment_is_not_rotated_in_place() {
    let mut bed = Bed::new();
    bed.set("a", "1");
    bed.settings.given.key = Some(Arc::new(value(&keys(&bed))));
    let error = bed.store().rekey(NewKey::SamePlace, false).err().unwrap();
    assert!(error.way_out().unwrap().contains("--identity-file"));
    let new = bed.path("new");
    bed.rekey(NewKey::File(new.clone()), false);
    let both = format!("{}{}", keys(&bed), std::fs::read_to_string(new).unwrap());
    bed.settings.given.key = Some(Arc::new(value(&both)));
    assert_eq!(bed.get("a").unwrap(), "1");
}

fn filled() -> Bed {
    let bed = Bed::new();
    bed.set("a", "1");
    bed.set("a", "2\nwith \"two\" lines");
    bed.set("b/c", "ü");
    bed
}

#[test]
fn an_export_comes_back_whole() {
    let bed = filled();
    let other = Bed::new();
    let whoms = [
        (For::Ourselves, With::File(bed.identity())),
        (For::Passphrase(Arc::new(value("horse"))), With::Passphrase(Arc::new(value("horse")))),
    ];
    for (whom, with) in whoms {
        let path = bed.path("out.age");
        let export = bed.store().export(&whom).unwrap_or_else(|error| panic!("{error}"));
        export.write(&path).unwrap();
        assert_eq!(export.write(&path).unwrap_err().kind(), ErrorKind::Conflict);
        let import = other.store().import(&path, &with, Existing::Refuse, "bob").ok().unwrap();
        import.change.unwrap().commit().unwrap();
        assert_eq!(other.get("b/c").unwrap(), "ü");
        let found = other.store().find(&name("a")).unwrap();
        assert_eq!((found.versions.len(), found.versions[0].by.as_str()), (2, "alice"));
        for taken in ["a", "b/c"] {
            other.remove(taken, None);
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn names_that_are_there_are_refused_kept_or_replaced() {
    let bed = filled();
    let path = bed.path("out.age");
    bed.store().export(&For::Ourselves).ok().unwrap().write(&path).unwrap();
    bed.set("a", "3");
    bed.remove("b/c", None);
    let import = |existing| bed.store().import(&path, &With::OwnKey, existing, "bob");
    assert_eq!(import(Existing::Refuse).err().unwrap().kind(), ErrorKind::Conflict);
    let kept = import(Existing::Keep).ok().unwrap();
    assert_eq!((kept.taken, kept.kept), (vec![name("b/c")], vec![name("a")]));
    kept.change.unwrap().commit().unwrap();
    assert_eq!((bed.get("a").unwrap().as_str(), bed.get("b/c").unwrap().as_str()), ("3", "ü"));
    import(Existing::Replace).ok().unwrap().change.unwrap().commit().unwrap();
    assert_eq!(bed.store().value(&name("a"), None).ok().unwrap().0, 4);
    assert_eq!(bed.get("a").unwrap(), "2\nwith \"two\" lines");
}

#[test]
fn what_is_no_export_is_told() {
    let bed = filled();
    let path = bed.path("out.age");
    bed.store().export(&For::Ourselves).ok().unwrap().write(&path).unwrap();
    let kind = |with| bed.store().import(&path, &with, Existing::Keep, "bob").err().unwrap().kind();
    let other = Bed::new();
    other.set("x", "y");
    assert_eq!(kind(With::File(other.identity())), ErrorKind::Locked);
    assert_eq!(kind(With::File(bed.path("none"))), ErrorKind::NotFound);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() - 9]).unwrap();
    assert_eq!(kind(With::OwnKey), ErrorKind::Damaged);
    std::fs::write(&path, "not age").unwrap();
    assert_eq!(kind(With::OwnKey), ErrorKind::Damaged);
    let strangers = For::Recipients(vec!["age1nonsense".to_owned()]);
    assert_eq!(bed.store().export(&strangers).err().unwrap().kind(), ErrorKind::Invalid);
}
