//! What the daemon reports of containers' pasts. Docker keeps its last 256 events only.

use std::collections::{HashMap, VecDeque};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;

use crate::clock;
use crate::containers::daemon::{Daemon, read};
use crate::containers::error::Error;
use crate::containers::types::ContainerEvent;

/// The most events at once; older ones give way.
const MAX_EVENTS: usize = 1000;
/// The longest value of an attribute, in characters.
const MAX_VALUE_CHARS: usize = 1000;

impl Daemon {
    /// Events of one container or of all between two moments in milliseconds since 1970, oldest first. An end that is
    /// yet to come is now.
    pub async fn events(
        &self,
        id: Option<&str>,
        since_ms: u64,
        until_ms: u64,
    ) -> Result<Vec<ContainerEvent>, Error> {
        let mut filters = HashMap::from([("type".to_owned(), vec!["container".to_owned()])]);
        if let Some(id) = id {
            filters.insert("container".to_owned(), vec![self.inspect(id).await?.id]);
        }
        let until_ms = until_ms.min(clock::now_ms());
        let options = EventsOptionsBuilder::default()
            .since(&moment(since_ms))
            .until(&moment(until_ms))
            .filters(&filters)
            .build();
        let call = read("read the events of", id.unwrap_or("all containers"));
        self.ask(call, async |docker| {
            let mut events = VecDeque::new();
            let mut stream = docker.events(Some(options.clone()));
            while let Some(message) = stream.next().await {
                if events.len() == MAX_EVENTS {
                    events.pop_front();
                }
                events.push_back(event(message?));
            }
            Ok(events.into())
        })
        .await
    }
}

fn event(message: EventMessage) -> ContainerEvent {
    let actor = message.actor.unwrap_or_default();
    let cut = |text: String| text.chars().take(MAX_VALUE_CHARS).collect::<String>();
    let mut attributes: Vec<(String, String)> = actor
        .attributes
        .unwrap_or_default()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("com.docker."))
        .map(|(name, value)| (name, cut(value)))
        .collect();
    attributes.sort();
    let nanos = message.time_nano.unwrap_or_default();
    ContainerEvent {
        time_ms: u64::try_from(nanos / 1_000_000).unwrap_or(0),
        action: cut(message.action.unwrap_or_default()),
        id: actor.id.unwrap_or_default(),
        attributes,
    }
}

/// Seconds and nanoseconds as Docker reads them.
fn moment(ms: u64) -> String {
    format!("{}.{:09}", ms / 1000, ms % 1000 * 1_000_000)
}
