//! News of the engine for those who follow a run: it tells as soon as it has written something down. Whoever hears nothing
//! looks into the log from time to time all the same.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::api::client::Client;

/// After a connection that broke, before the next.
const PAUSE: Duration = Duration::from_secs(1);

/// Listens for as long as it lives.
pub(crate) struct Feed {
    news: Arc<Notify>,
    _listening: JoinSet<()>,
}

impl Feed {
    pub(super) fn of(client: Client) -> Self {
        let news = Arc::new(Notify::new());
        let mut listening = JoinSet::new();
        listening.spawn(listen(client, Arc::clone(&news)));
        Self { news, _listening: listening }
    }

    /// Returns as soon as there may be something new in the audit log, and after `pause` at the latest.
    pub(super) async fn next(&self, pause: Duration) {
        tokio::select! {
            () = self.news.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn listen(client: Client, news: Arc<Notify>) {
    loop {
        if let Ok(Some(mut engine)) = client.greet().await {
            let mut known = 0;
            while let Ok(last) = engine.news(known).await {
                known = last;
                news.notify_one();
            }
            news.notify_one();
        }
        tokio::time::sleep(PAUSE).await;
    }
}
