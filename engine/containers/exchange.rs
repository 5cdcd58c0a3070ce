//! Requests to the daemon in its own JSON, where the client library's types would lose the fields that they lack.
//!
//! The library still carries them: over its connection, with its certificates and its errors. Only path, method and body
//! are ours. `docs/decisions/0015-a-copy-from-raw-json.md` says why.

use bollard::{BollardRequest, Docker};
use futures_util::TryStreamExt as _;
use hyper::body::Bytes;
use hyper::{Method, Uri};
use serde_json::Value;

use crate::containers::daemon::Daemon;
use crate::containers::error::{Call, Error};

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

    /// Takes the place of the request that carries it.
    fn replace(&self, prefix: &str, mut carrier: BollardRequest) -> BollardRequest {
        let mut parts = carrier.uri().clone().into_parts();
        if let Ok(path) = format!("{prefix}{}", self.path).parse() {
            parts.path_and_query = Some(path);
        }
        // A path that is no path leaves the carrier's own, which names nothing: the daemon answers 404.
        if let Ok(uri) = Uri::from_parts(parts) {
            *carrier.uri_mut() = uri;
        }
        *carrier.method_mut() = self.method.clone();
        *carrier.body_mut() = bollard::body_full(self.body.clone());
        carrier
    }
}

/// What the carrying request asks for; it is never sent.
const CARRIER: &str = "-";

impl Daemon {
    /// The daemon's answer; `null` if it has no body.
    pub(crate) async fn exchange(&self, call: Call<'_>, exchange: Exchange) -> Result<Value, Error> {
        let prefix =
            self.api_version().await?.map_or_else(String::new, |(major, minor)| format!("/v{major}.{minor}"));
        self.ask(call, async |docker: Docker| {
            let (exchange, prefix) = (exchange.clone(), prefix.clone());
            let carrier = docker.with_request_modifier(move |request| exchange.replace(&prefix, request));
            let pieces: Vec<Bytes> = carrier.export_container(CARRIER).try_collect().await?;
            let answer = pieces.concat();
            if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_slice(&answer)?) }
        })
        .await
    }
}
