//! `kill -9` at any moment: the old or the new, always readable. And two at once.

use std::time::{Duration, Instant};

use super::bed::{Home, files};

/// Kills of each kind of change.
const KILLS: u32 = 44;

/// Kills a change at moments spread over the time it takes; looks after each.
fn kill(home: &Home, change: impl Fn(u32) -> Vec<String>, look: impl Fn(u32)) {
    let began = Instant::now();
    let whole = change(0);
    home.engine.must(0, &whole.iter().map(String::as_str).collect::<Vec<_>>());
    let mut takes = began.elapsed();
    look(0);
    let mut cut_short = 0;
    for number in 1..=KILLS {
        let arguments = change(number);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let running = home.engine.spawn(&arguments);
        // Not in order, so that what one leaves is met by others; a little beyond the end.
        let part = number * 17 % KILLS;
        std::thread::sleep(takes * part / KILLS * 11 / 10 + Duration::from_micros(u64::from(number) * 37));
        let cut = running.kill().code == 137;
        cut_short += u32::from(cut);
        // Another change may take longer or shorter than the first, as the machine has other things to do.
        takes = if cut { takes * 21 / 20 } else { takes * 9 / 10 };
        look(number);
    }
    assert!(cut_short > KILLS / 4, "only {cut_short} were killed");
}

#[test]
fn in_the_middle_of_a_set() {
    let home = Home::new();
    home.set("a", "0");
    home.set("b", "other");
    let seen = std::cell::Cell::new(0);
    let change = |number: u32| {
        let file = home.engine.write("killed", &number.to_string());
        ["secret", "set", "a", "--file", &file].map(str::to_owned).to_vec()
    };
    kill(&home, change, |number| {
        let found: u32 = home.reveal("a").parse().expect("a number");
        assert!(found == seen.get() || found == number, "{found} after {} and {number}", seen.get());
        seen.set(found);
        assert_eq!(home.reveal("b"), "other");
    });
    leaves_nothing_behind(&home);
}

#[test]
fn in_the_middle_of_a_re_key() {
    let home = Home::new();
    for number in 0..10 {
        home.set(&format!("n{number}"), "first-value");
    }
    let change = |_| ["secret", "rekey", "--forget-old"].map(str::to_owned).to_vec();
    kill(&home, change, |_| {
        assert_eq!(home.reveal("n3"), "first-value");
        assert_eq!(
            home.engine.run(&["doctor", "--no-services", "--output", "json"]).document()["checks"]
                .as_array()
                .and_then(|checks| checks.iter().find(|check| check["name"] == "secrets"))
                .map(|check| check["status"].clone()),
            Some("ok".into())
        );
    });
    home.engine.must(0, &["secret", "rekey", "--forget-old"]);
    let keys = std::fs::read_to_string(home.identity()).expect("the key");
    assert_eq!(keys.matches("AGE-SECRET-KEY-").count(), 1, "what was begun and never named is gone");
    leaves_nothing_behind(&home);
}

fn leaves_nothing_behind(home: &Home) {
    home.set("last", "after everything");
    let listed = home.engine.json(&["secret", "list"]);
    let secrets = listed["secrets"].as_array().expect("a list");
    let kept: usize = secrets.iter().filter_map(|one| one["versions"].as_array().map(Vec::len)).sum();
    let store = home.engine.data().join("secrets");
    assert_eq!(files(&store.join("values")).len(), kept);
    assert_eq!(files(&store).len(), kept + 3, "the values, their folder, the index and the lock");
    home.engine.must(0, &["audit", "verify"]);
}

#[test]
fn two_at_once_both_happen() {
    let home = Home::new();
    home.set("a", "first");
    let one = home.engine.write("one", "one-one");
    let two = home.engine.write("two", "two-two");
    for round in 1..=5 {
        let first = home.engine.spawn(&["secret", "set", "a", "--file", &one]);
        let second = home.engine.spawn(&["secret", "set", "a", "--file", &two]);
        let (first, second) = (first.wait(), second.wait());
        assert_eq!((first.code, second.code), (0, 0), "{first:?} {second:?}");
        let newest = home.engine.json(&["secret", "show", "a"])["version"].as_u64();
        assert_eq!(newest, Some(1 + 2 * round));
    }
    let sets = home.entries().iter().filter(|entry| entry["kind"] == "secret.set").count();
    assert_eq!(sets, 11);
}
