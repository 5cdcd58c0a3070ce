//! What a run left that is not as it was: containers that are down, gone, new, or have another name or other limits. Read
//! from the journal, as far as the run has looked; knows no daemon.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

use super::event::Outcome;
use super::state::{RecordedCall, State};

/// How many containers one sentence names of each kind; the others are counted.
const MAX_NAMED: usize = 8;

/// In what a container differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It was up.
    Down,
    /// It was not paused.
    Paused,
    /// It is gone.
    Removed,
    /// Another container has its name and place now.
    Replaced,
    /// It was not there.
    Created,
    /// It has another name.
    Renamed,
    /// It has other limits of memory or processor.
    Resized,
}

/// One container that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// In what it differs.
    pub what: What,
    /// Its name: the one it had before the run, or the one it was created with.
    pub container: String,
    /// Its id; of one that was replaced, the new one's.
    pub id: String,
    /// Its name now, if it is another one; of one that was replaced, what the old one is called if it is still there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_now: Option<String>,
    /// When the run last looked at it, milliseconds since 1970.
    pub seen_ms: u64,
}

/// A container as one look showed it.
#[derive(Debug, Clone)]
struct Look {
    name: String,
    state: String,
    limits: Value,
}

impl Look {
    fn of(document: &Value) -> Option<(String, Self)> {
        let word = |field: &str| document[field].as_str().map(str::to_owned);
        let look = Self { name: word("name")?, state: word("state")?, limits: document["limits"].clone() };
        Some((word("id")?, look))
    }

    fn up(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused" | "restarting")
    }

    fn paused(&self) -> bool {
        self.state == "paused"
    }
}

/// What the run knows of one container.
#[derive(Debug, Clone)]
struct Track {
    /// None for one that the run created.
    first: Option<Look>,
    last: Look,
    gone: bool,
    /// The run has changed it, or done something inside it.
    touched: bool,
    seen_ms: u64,
}

impl Track {
    fn down(&self) -> bool {
        !self.gone && !self.last.up()
    }

    /// The name it went by when the run began.
    fn name(&self) -> &str {
        self.first.as_ref().map_or(&self.last.name, |first| &first.name)
    }
}

/// Everything that is not as it was, by kind and name. Containers that the run only looked at do not count.
pub fn differences(state: &State) -> Vec<Difference> {
    let mut calls: Vec<&RecordedCall> = state
        .paths()
        .flat_map(|(_, progress)| &progress.attempts)
        .flat_map(|attempt| &attempt.calls)
        .collect();
    calls.sort_by_key(|call| call.order);
    let mut tracks = HashMap::new();
    calls.into_iter().for_each(|call| take_in(&mut tracks, call));
    let mut found: Vec<Difference> = tracks
        .iter()
        .filter(|(_, track)| track.touched)
        .flat_map(|(id, track)| differing(&tracks, id, track))
        .collect();
    found.sort_by(|a, b| (a.what, &a.container, &a.id).cmp(&(b.what, &b.container, &b.id)));
    found
}

fn take_in(tracks: &mut HashMap<String, Track>, call: &RecordedCall) {
    if let Some(intent) = &call.intent {
        let before = &intent.before;
        let target = if before["container"].is_object() { &before["container"] } else { before };
        if let Some((id, look)) = Look::of(target) {
            see(tracks, id.clone(), look, intent.at_ms);
            if let Some(track) = tracks.get_mut(&id) {
                track.touched = true;
            }
        }
    }
    let Some(Outcome::Ok(answer)) = &call.outcome else { return };
    if call.function == "containers.create" {
        if let Some((id, last)) = Look::of(answer) {
            let created = Track { first: None, last, gone: false, touched: true, seen_ms: call.at_ms };
            tracks.entry(id).or_insert(created);
        }
        return;
    }
    let id = call.arguments["id"].as_str().unwrap_or_default();
    let one = if answer["container"].is_object() { &answer["container"] } else { answer };
    let all = answer.as_array().map_or(std::slice::from_ref(one), Vec::as_slice);
    let mut told = false;
    for (id, look) in all.iter().filter_map(Look::of) {
        told = true;
        see(tracks, id, look, call.at_ms);
    }
    let Some(track) = tracks.get_mut(id).filter(|_| call.writes() && !told) else { return };
    track.seen_ms = call.at_ms;
    match call.function.as_str() {
        "containers.remove" => track.gone = true,
        // A person said that it happened, and nobody could look.
        "containers.stop" | "containers.kill" => track.last.state = "exited".to_owned(),
        "containers.start" => track.last.state = "running".to_owned(),
        _ => {}
    }
}

fn see(tracks: &mut HashMap<String, Track>, id: String, look: Look, at_ms: u64) {
    tracks
        .entry(id)
        .and_modify(|track| {
            track.last = look.clone();
            track.gone = false;
            track.seen_ms = at_ms;
        })
        .or_insert_with(|| Track {
            first: Some(look.clone()),
            last: look,
            gone: false,
            touched: false,
            seen_ms: at_ms,
        });
}

fn differing(tracks: &HashMap<String, Track>, id: &str, track: &Track) -> Vec<Difference> {
    let differs = |what, container: &str| Difference {
        what,
        container: container.to_owned(),
        id: id.to_owned(),
        name_now: None,
        seen_ms: track.seen_ms,
    };
    let Some(first) = &track.first else {
        return created(tracks, track, &differs);
    };
    if successor(tracks, &first.name).is_some() && (track.gone || track.last.name != first.name) {
        // Told of the one that has its place.
        return Vec::new();
    }
    if track.gone {
        return vec![differs(What::Removed, &first.name)];
    }
    let mut all = Vec::new();
    if first.up() && track.down() {
        all.push(differs(What::Down, &first.name));
    }
    if track.last.paused() && !first.paused() {
        all.push(differs(What::Paused, &first.name));
    }
    if track.last.name != first.name {
        let name_now = Some(track.last.name.clone());
        all.push(Difference { name_now, ..differs(What::Renamed, &first.name) });
    }
    if track.last.limits != first.limits {
        all.push(differs(What::Resized, &first.name));
    }
    all
}

fn created(
    tracks: &HashMap<String, Track>,
    track: &Track,
    differs: &dyn Fn(What, &str) -> Difference,
) -> Vec<Difference> {
    let name = &track.last.name;
    if track.gone {
        return Vec::new();
    }
    let old = tracks.values().find(|old| {
        old.first.as_ref().is_some_and(|first| first.name == *name) && (old.gone || old.last.name != *name)
    });
    let Some(old) = old else { return vec![differs(What::Created, name)] };
    let name_now = (!old.gone).then(|| old.last.name.clone());
    let mut all = vec![Difference { name_now, ..differs(What::Replaced, name) }];
    if track.down() && old.first.as_ref().is_some_and(Look::up) {
        all.push(differs(What::Down, name));
    }
    all
}

/// The container that the run created and that goes by this name now.
fn successor<'a>(tracks: &'a HashMap<String, Track>, name: &str) -> Option<&'a Track> {
    tracks.values().find(|track| track.first.is_none() && !track.gone && track.name() == name)
}

/// All of it as one clause: "`web-1`, `web-2` are down; `web-3` was removed"; empty if everything is as it was.
pub fn words(differences: &[Difference]) -> String {
    let mut clauses = Vec::new();
    for group in differences.chunk_by(|a, b| a.what == b.what) {
        let first = group.iter().take(MAX_NAMED).map(one);
        let mut names: Vec<String> = first.collect();
        if group.len() > MAX_NAMED {
            names.push(format!("{} more", group.len() - MAX_NAMED));
        }
        let [is, was, has] = if group.len() == 1 { ["is", "was", "has"] } else { ["are", "were", "have"] };
        let what = match group[0].what {
            What::Down => format!("{is} down"),
            What::Paused => format!("{is} paused"),
            What::Removed => format!("{was} removed"),
            What::Replaced => format!("{was} replaced by a new container"),
            What::Created => format!("{was} created and {is} still there"),
            What::Renamed => format!("{was} renamed"),
            What::Resized => format!("{has} other limits"),
        };
        clauses.push(format!("{} {what}", names.join(", ")));
    }
    clauses.join("; ")
}

fn one(difference: &Difference) -> String {
    let name = &difference.container;
    match (&difference.name_now, difference.what) {
        (Some(now), What::Replaced) => format!("`{name}` (the old one is `{now}`)"),
        (Some(now), _) => format!("`{name}` (now `{now}`)"),
        (None, _) => format!("`{name}`"),
    }
}
