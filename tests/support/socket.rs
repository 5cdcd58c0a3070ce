//! The engine's socket, asked without the command line.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::books::HELLO;
use super::engine::Engine;

/// Sends a request over the engine's socket; its status and document, or nothing if the engine died meanwhile.
pub(crate) fn post(engine: &Engine, path: &str, document: &Value) -> Option<(u16, Value)> {
    let mut stream = UnixStream::connect(engine.data().join("engine.sock")).ok()?;
    let body = document.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: engine\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// A request for a run of `hello` with this dedupe key.
pub(crate) fn hello(dedupe: &str) -> Value {
    json!({
        "runbook": { "file": "hello.yaml", "text": HELLO, "others": [] }, "parameters": {}, "actor": "tester",
        "trigger": "api", "reason": null, "target": null, "dedupe": dedupe, "plan": null, "step_by_step": false,
        "lock": "wait",
    })
}
