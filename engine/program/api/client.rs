//! Asks the engine of a data directory over its socket. Never waits for ever: an engine that hangs is named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::socket::SocketPath;
use super::wire::{Claimed, Commanded, Done, Fact, Halted, Health, News, Refused, Submitted};
use crate::error::{Error, Kind};
use audit::StateChange;
use executor::request::{Command, Plan, Request};
use words::clock;
use words::ids::RunId;

/// An engine that is well answers this soon.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);

/// One that a hundred commands ask at once on a busy machine answers this soon.
const BUSY_GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// Planning and accepting ask Docker, which may be slow.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(2);

/// The largest answer: a plan.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// Asks the engine of one data directory.
#[derive(Debug, Clone)]
pub struct Client {
    data_dir: PathBuf,
}

/// Why nothing came back.
enum Silence {
    /// Nobody listens.
    Nobody,
    /// Somebody does, and this is their process.
    Hanging(Option<i32>),
    /// The connection broke.
    Broken(String),
}

/// Why something was not done, or may not have been.
#[derive(Debug)]
pub enum Unanswered {
    /// The engine ends. It has done nothing, and the next one will.
    Leaving,
    /// The engine said no.
    Refused(Error),
    /// The connection ended before the answer: whether it was done, the audit log tells.
    Broken(Error),
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Leaving => Silence::Nobody.into(),
            Unanswered::Refused(error) | Unanswered::Broken(error) => error,
        }
    }
}

impl Client {
    /// Connects when asked something.
    pub fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// That the engine is well; `None` if there is none.
    pub async fn health(&self) -> Result<Option<Health>, Error> {
        Ok(self.greet_within(GREETING_TIMEOUT).await?.map(|conversation| conversation.health))
    }

    /// Connects to the engine and waits until it has said that it is well; `None` if there is none. Until then nothing was
    /// asked of it, so that whoever finds none may ask another.
    pub async fn greet(&self) -> Result<Option<Conversation>, Error> {
        self.greet_within(BUSY_GREETING_TIMEOUT).await
    }

    async fn greet_within(&self, patience: Duration) -> Result<Option<Conversation>, Error> {
        match self.connect(patience).await {
            Ok(conversation) => Ok(Some(conversation)),
            // One that breaks off a greeting is just going away: ask again, or take its place.
            Err(Silence::Nobody | Silence::Broken(_)) => Ok(None),
            Err(silence) => Err(silence.into()),
        }
    }

    async fn connect(&self, patience: Duration) -> Result<Conversation, Silence> {
        let at = SocketPath::of(&self.data_dir).map_err(|_| Silence::Nobody)?;
        let stream = match clock::within(patience, UnixStream::connect(at.as_path())).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(unconnected(&error)),
            Err(_) => return Err(Silence::Hanging(None)),
        };
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let greeting = clock::within(patience, Conversation::begin(stream, pid)).await;
        greeting.unwrap_or(Err(Silence::Hanging(pid)))
    }
}

/// A connection to an engine that is well, for one question, or for its news.
pub struct Conversation {
    /// What it said of itself.
    pub health: Health,
    sender: http1::SendRequest<Full<Bytes>>,
    pid: Option<i32>,
    _driver: JoinSet<hyper::Result<()>>,
}

impl Conversation {
    async fn begin(stream: UnixStream, pid: Option<i32>) -> Result<Self, Silence> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Silence::Broken(error.to_string()))?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        let answer = exchange(&mut sender, request(&Method::GET, "/v1/health", Bytes::new())).await?;
        let health =
            serde_json::from_slice(&answer.body).map_err(|error| Silence::Broken(error.to_string()))?;
        Ok(Self { health, sender, pid, _driver: driver })
    }

    /// Accepts a run.
    pub async fn submit(self, request: &Request) -> Result<RunId, Unanswered> {
        self.post::<Submitted>("/v1/runs", request).await.map(|submitted| submitted.run)
    }

    /// What a run would do.
    pub async fn plan(self, request: &Request) -> Result<Plan, Unanswered> {
        self.post("/v1/plans", request).await
    }

    /// Passes a command on to a run.
    pub async fn command(self, run: &RunId, command: Command) -> Result<(), Unanswered> {
        let document = Commanded { command, actor: Claimed };
        self.post::<Done>(&format!("/v1/runs/{run}/commands"), &document).await.map(drop)
    }

    /// Sets the halt switch.
    pub async fn halt(self, on: bool, reason: &str) -> Result<(), Unanswered> {
        let document = Halted { on, reason: reason.to_owned(), actor: Claimed };
        self.post::<Done>("/v1/halt", &document).await.map(drop)
    }

    /// Writes down something that belongs to no run.
    pub async fn fact(self, kind: &str, data: Value, state: Vec<StateChange>) -> Result<(), Unanswered> {
        let document = Fact { actor: Claimed, kind: kind.to_owned(), data, state };
        self.post::<Done>("/v1/facts", &document).await.map(drop)
    }

    /// Waits until something later than `after` was written down, or the engine has nothing to tell for a while; how far its
    /// log reaches then.
    pub async fn news(&mut self, after: u64) -> Result<u64, Unanswered> {
        let asked = exchange(
            &mut self.sender,
            request(&Method::GET, &format!("/v1/news?after={after}"), Bytes::new()),
        );
        let answer = clock::within(ANSWER_TIMEOUT, asked).await.unwrap_or(Err(Silence::Hanging(self.pid)));
        let answer = answer.map_err(|silence| Unanswered::Broken(silence.into()))?;
        understood::<News>(&answer).map(|news| news.last)
    }

    async fn post<T: DeserializeOwned>(
        mut self,
        path: &str,
        document: &impl Serialize,
    ) -> Result<T, Unanswered> {
        let body = serde_json::to_vec(document)
            .map_err(|error| Unanswered::Refused(Error::internal(error.to_string())))?;
        let asked = exchange(&mut self.sender, request(&Method::POST, path, body.into()));
        let answer = clock::within(ANSWER_TIMEOUT, asked).await.unwrap_or(Err(Silence::Hanging(self.pid)));
        understood(&answer.map_err(|silence| Unanswered::Broken(silence.into()))?)
    }
}

fn unconnected(error: &std::io::Error) -> Silence {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => Silence::Nobody,
        _ => Silence::Broken(crate::error::reason(error)),
    }
}

fn request(method: &Method, path: &str, body: Bytes) -> hyper::Request<Full<Bytes>> {
    let mut request = hyper::Request::new(Full::new(body));
    *request.method_mut() = method.clone();
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    headers.insert(header::HOST, header::HeaderValue::from_static("engine"));
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    request
}

/// What came back.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

async fn exchange(
    sender: &mut http1::SendRequest<Full<Bytes>>,
    request: hyper::Request<Full<Bytes>>,
) -> Result<Answer, Silence> {
    let broken = |error: &dyn std::fmt::Display| Silence::Broken(error.to_string());
    sender.ready().await.map_err(|e| broken(&e))?;
    let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
    let status = response.status();
    let body =
        Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await.map_err(|e| broken(&e))?;
    Ok(Answer { status, body: body.to_bytes() })
}

fn understood<T: DeserializeOwned>(answer: &Answer) -> Result<T, Unanswered> {
    let strange = |error: serde_json::Error| {
        Unanswered::Refused(
            Error::internal(format!("the engine's answer cannot be understood: {error}"))
                .hint("is it of another version? `runbook doctor` tells"),
        )
    };
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body).map_err(strange);
    }
    let refused: Refused = serde_json::from_slice(&answer.body).map_err(strange)?;
    Err(if refused.leaving { Unanswered::Leaving } else { Unanswered::Refused(refused.error) })
}

impl From<Silence> for Error {
    fn from(silence: Silence) -> Self {
        let emergency = "if it cannot wait: the same command with `--emergency --reason WHY`";
        match silence {
            Silence::Nobody => {
                Self::new(Kind::Directory, "no engine answers, but one holds the data directory")
                    .hint(format!("try again in a moment; {emergency}"))
            }
            Silence::Hanging(Some(pid)) => {
                Self::new(Kind::Directory, format!("the engine, process {pid}, does not answer"))
                    .hint(format!("is it stopped (`kill -CONT {pid}`) or waiting for its disk? {emergency}"))
            }
            Silence::Hanging(None) => {
                Self::new(Kind::Directory, "the engine does not answer").hint(emergency)
            }
            Silence::Broken(why) => {
                Self::new(Kind::Directory, format!("the connection to the engine broke: {why}"))
                    .hint("whether it was done is in `runbook runs list`")
            }
        }
    }
}
