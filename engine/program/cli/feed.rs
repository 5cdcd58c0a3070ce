//! News of the engine for those who follow a run: it tells as soon as it has written something down. Whoever hears nothing
//! looks into the log from time to time all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::api::client::{Client, Unanswered};

/// After a connection that broke, before the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens for as long as it lives.
pub(crate) struct Feed {
    news: Arc<Notify>,
    leaving: Arc<AtomicBool>,
    _listening: JoinSet<()>,
}

impl Feed {
    pub(super) fn of(client: Client) -> Self {
        let news = Arc::new(Notify::new());
        let mut listening = JoinSet::new();
        let leaving = Arc::new(AtomicBool::new(false));
        listening.spawn(listen(client, Arc::clone(&news), Arc::clone(&leaving)));
        Self { news, leaving, _listening: listening }
    }

    /// Whether the engine has said that it ends.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    /// Returns as soon as there may be something new in the audit log, and after `pause` at the latest.
    pub(super) async fn next(&self, pause: Duration) {
        tokio::select! {
            () = self.news.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn listen(client: Client, news: Arc<Notify>, leaving: Arc<AtomicBool>) {
    loop {
        if let Ok(Some(mut engine)) = client.greet().await {
            leaving.store(engine.health.leaving, Ordering::Relaxed);
            let mut known = 0;
            let over = loop {
                match engine.news(known).await {
                    Ok(last) => known = last,
                    Err(over) => break over,
                }
                news.notify_one();
            };
            leaving.store(matches!(over, Unanswered::Leaving), Ordering::Relaxed);
            news.notify_one();
        }
        tokio::time::sleep(PAUSE).await;
    }
}
