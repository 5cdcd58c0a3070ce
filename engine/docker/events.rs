//! What the daemon reports of containers' pasts. Docker keeps its last 256 events only.

use std::collections::{HashMap, VecDeque};

use bollard::models::EventMessage;
use http_body_util::BodyExt as _;

use crate::daemon::{Daemon, read};
use crate::error::Error;
use crate::types::ContainerEvent;
use words::clock;

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
        let query = format!(
            "since={}&until={}&filters={}",
            moment(since_ms),
            moment(until_ms),
            encoded(&serde_json::json!(filters).to_string())
        );
        let call = read("read the events of", id.unwrap_or("all containers"));
        let wire = self.wire().await?;
        self.ask(call, async |_| {
            let mut events = Events::default();
            let mut body = wire.events(&query).await?.into_body();
            while let Some(frame) = body.frame().await {
                if let Ok(bytes) = frame?.into_data() {
                    events.take(&bytes)?;
                }
            }
            events.end()
        })
        .await
    }
}

/// The newest events, of documents that stand on a line each.
#[derive(Default)]
struct Events {
    line: Vec<u8>,
    events: VecDeque<ContainerEvent>,
}

impl Events {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), serde_json::Error> {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&bytes[..end]);
            self.close()?;
            bytes = &bytes[end + 1..];
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn close(&mut self) -> Result<(), serde_json::Error> {
        if !self.line.trim_ascii().is_empty() {
            let message = serde_json::from_slice(&self.line)?;
            if self.events.len() == MAX_EVENTS {
                self.events.pop_front();
            }
            self.events.push_back(event(message));
        }
        self.line.clear();
        Ok(())
    }

    fn end(mut self) -> Result<Vec<ContainerEvent>, bollard::errors::Error> {
        self.close()?;
        Ok(self.events.into())
    }
}

/// As it may stand in a query.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
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
