//! The world ends before each operation on a file in turn: the old or the new is there, and opens.

use super::bed::{Bed, name, value};
use crate::write::end_of_the_world;
use crate::{Error, NewKey};

/// Operations after which a change is certainly done.
const ENOUGH: u32 = 400;

/// Ends the world at every step of `change` until it gets through; what is seen after each. Gives the number of steps.
fn at_every_step(
    make: impl Fn() -> Bed,
    change: impl Fn(&Bed) -> Result<(), Error>,
    look: impl Fn(&Bed),
) -> u32 {
    for steps in 0..ENOUGH {
        let bed = make();
        end_of_the_world::after(Some(steps));
        let result = change(&bed);
        let came = end_of_the_world::came();
        end_of_the_world::after(None);
        look(&bed);
        if !came {
            result.unwrap();
            return steps;
        }
        // Whoever comes next finds nothing in the way, and leaves nothing behind.
        bed.set("next", "after");
        look(&bed);
        assert_eq!(bed.get("next").unwrap(), "after");
        bed.remove("next", None);
        let values = bed.files().iter().filter(|path| path.extension().is_some_and(|e| e == "age")).count();
        let kept: usize = bed.store().list().unwrap().iter().map(|one| one.versions.len()).sum();
        let hidden = usize::from(bed.settings.given.passphrase.is_some());
        assert!(values <= kept + hidden, "{values} files for {kept} versions after {steps} steps");
        let halves = bed.files().iter().filter(|path| path.to_string_lossy().ends_with("half")).count();
        assert_eq!(halves, 0, "after {steps} steps");
    }
    panic!("it never got through");
}

fn two() -> Bed {
    let bed = Bed::new();
    bed.set("a", "old");
    bed.set("b", "other");
    bed
}

fn old_or_new(bed: &Bed) {
    let found = bed.get("a").unwrap();
    assert!(found == "old" || found == "new", "{found}");
    assert_eq!(bed.get("b").unwrap(), "other");
}

#[test]
fn of_the_first_set() {
    let steps = at_every_step(
        Bed::new,
        |bed| bed.store().set(&name("a"), &value("new"), "alice")?.1.commit(),
        |bed| match bed.get("a") {
            Ok(found) => assert_eq!(found, "new"),
            Err(error) => assert!(error.contains("there is no secret"), "{error}"),
        },
    );
    assert!(steps > 20, "{steps}");
}

#[test]
fn of_a_set() {
    let steps =
        at_every_step(two, |bed| bed.store().set(&name("a"), &value("new"), "alice")?.1.commit(), old_or_new);
    assert!(steps > 10, "{steps}");
}

#[test]
fn of_a_set_that_lets_go_of_the_oldest() {
    let full = || {
        let bed = two();
        for _ in 0..9 {
            bed.set("a", "old");
        }
        bed
    };
    at_every_step(full, |bed| bed.store().set(&name("a"), &value("new"), "alice")?.1.commit(), old_or_new);
}

#[test]
fn of_a_remove() {
    at_every_step(
        two,
        |bed| bed.store().remove(&name("a"), None)?.commit(),
        |bed| {
            assert!(bed.get("a").is_ok_and(|found| found == "old") || bed.store().find(&name("a")).is_err());
            assert_eq!(bed.get("b").unwrap(), "other");
        },
    );
}

#[test]
fn of_a_re_key() {
    for forget_old in [false, true] {
        let steps = at_every_step(
            two,
            |bed| bed.store().rekey(NewKey::SamePlace, forget_old)?.1.commit(),
            |bed| {
                old_or_new(bed);
                let keys =
                    std::fs::read_to_string(bed.identity()).unwrap().matches("AGE-SECRET-KEY-").count();
                assert!(keys <= 2, "{keys} keys");
            },
        );
        assert!(steps > 25, "{steps}");
    }
}

#[test]
fn of_a_re_key_to_a_passphrase() {
    let make = || {
        let mut bed = two();
        bed.passphrase("correct horse");
        bed
    };
    let change = |bed: &Bed| {
        let passphrase = bed.settings.given.passphrase.clone().unwrap();
        bed.store().rekey(NewKey::Passphrase(passphrase), false)?.1.commit()
    };
    at_every_step(make, change, old_or_new);
}
