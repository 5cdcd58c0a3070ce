//! Requests to the daemon in its own JSON, where the client library's types would lose the fields that they lack.
//!
//! They take the same wire as the library's: with its certificates, its limits and its errors, and the agreed version
//! before the path. `docs/decisions/0016-a-copy-from-raw-json.md` says why.

use hyper::Method;
use hyper::body::Bytes;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::error::{Call, Error};

/// One request in the daemon's own words. Names in the path must have been checked.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) method: Method,
    /// From the leading slash, without the version.
    pub(crate) path: String,
    pub(crate) body: Bytes,
}

impl Exchange {
    /// A question.
    pub(crate) fn get(path: String) -> Self {
        Self { method: Method::GET, path, body: Bytes::new() }
    }

    /// An order.
    pub(crate) fn post(path: String, body: &Value) -> Self {
        Self { method: Method::POST, path, body: Bytes::from(body.to_string()) }
    }
}

impl Daemon {
    /// The daemon's answer; `null` if it has no body.
    pub(crate) async fn exchange(&self, call: Call<'_>, exchange: Exchange) -> Result<Value, Error> {
        let wire = self.wire().await?;
        self.ask(call, async |_| {
            let answer = wire.exchange(&exchange).await?;
            if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
        })
        .await
    }
}
