//! The routes: each translates one document into one call of the engine, and its answer back.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Query, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::wire::{Commanded, Done, Fact, Halted, Health, Known, News, Refused, Submitted};
use crate::error::{Error, Kind};
use executor::request::{Plan, Request};
use executor::{Engine, Refusal};
use words::ids::RunId;
use words::json;

/// Requests that are worked on at once; more wait, each on its own connection. Planning and accepting hold documents in memory.
const MAX_AT_WORK: usize = 64;

/// A request holds a runbook and those it may call, each at most 256 KiB.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// What a request puts around the values that are given with it, in levels: each value is held to its own limit later.
const ENVELOPE_LEVELS: usize = 8;

/// Those who follow a run and are told at once; the others look from time to time. Each takes one of the connections.
const MAX_WATCHERS: usize = 64;

/// Whoever waits for news for so long is told that there is none, and asks again.
const NO_NEWS: Duration = Duration::from_secs(20);

/// All of them. An engine with much to do still says that it is well.
pub(super) fn router(engine: Engine) -> Router {
    let turns = Arc::new(Semaphore::new(MAX_AT_WORK));
    let watchers = Arc::new(Semaphore::new(MAX_WATCHERS));
    let news = move |State(engine): State<Engine>, Query(known): Query<Known>| {
        let place = Arc::clone(&watchers).try_acquire_owned();
        async move {
            let _place = place.map_err(|_| Error::new(Kind::Conflict, "too many follow runs already"))?;
            tell_news(&engine, known.after).await
        }
    };
    let one_of_few = move |request: axum::extract::Request, next: Next| {
        let turns = Arc::clone(&turns);
        async move {
            let _turn = turns.acquire().await;
            next.run(request).await
        }
    };
    Router::new()
        .route("/v1/runs", post(submit))
        .route("/v1/plans", post(plan))
        .route("/v1/runs/{run}/commands", post(command))
        .route("/v1/halt", post(halt))
        .route("/v1/facts", post(fact))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .route_layer(from_fn(one_of_few))
        .route("/v1/health", get(health))
        .route("/v1/news", get(news))
        .fallback(nowhere)
        .with_state(engine)
}

/// The person at the other end of the connection, as the kernel knows them.
#[derive(Debug, Clone)]
pub(super) struct Peer(pub(super) String);

/// A document, or an error in our own words.
struct Document<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Document<T> {
    type Rejection = Refused;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Refused> {
        let invalid = |why: String| Error::new(Kind::Invalid, why);
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|rejection: BytesRejection| invalid(rejection.body_text()))?;
        let document = json::read_enveloped(&body, ENVELOPE_LEVELS)
            .map_err(|error| invalid(format!("the request's body cannot be read: {error}")))?;
        Ok(Self(document))
    }
}

type Answer<T> = Result<Json<T>, Refused>;

async fn health(State(engine): State<Engine>) -> Json<Health> {
    Json(Health {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        busy: engine.busy(),
        leaving: engine.is_leaving(),
    })
}

async fn submit(
    State(engine): State<Engine>,
    Extension(Peer(actor)): Extension<Peer>,
    Document(request): Document<Request>,
) -> Answer<Submitted> {
    let run = engine.submit(Request { actor, ..request }).await?;
    Ok(Json(Submitted { run }))
}

async fn plan(
    State(engine): State<Engine>,
    Extension(Peer(actor)): Extension<Peer>,
    Document(request): Document<Request>,
) -> Answer<Plan> {
    Ok(Json(engine.plan(Request { actor, ..request }).await?))
}

async fn command(
    State(engine): State<Engine>,
    Extension(Peer(actor)): Extension<Peer>,
    Path(run): Path<String>,
    Document(commanded): Document<Commanded>,
) -> Answer<Done> {
    let run = RunId::new(run).map_err(|error| Error::invalid(error.to_string()))?;
    engine.command(&run, commanded.command, &actor).await?;
    Ok(Json(Done {}))
}

async fn halt(
    State(engine): State<Engine>,
    Extension(Peer(actor)): Extension<Peer>,
    Document(halted): Document<Halted>,
) -> Answer<Done> {
    engine.halt(halted.on, &halted.reason, &actor).await?;
    Ok(Json(Done {}))
}

async fn fact(
    State(engine): State<Engine>,
    Extension(Peer(actor)): Extension<Peer>,
    Document(fact): Document<Fact>,
) -> Answer<Done> {
    engine.fact(&actor, &fact.kind, fact.data, fact.state).await?;
    Ok(Json(Done {}))
}

/// As soon as there is something later. Why the log takes nothing more is news, too.
async fn tell_news(engine: &Engine, after: u64) -> Answer<News> {
    let mut committed = engine.audit().committed();
    let later = async {
        if *committed.borrow_and_update() <= after && engine.audit().failure().is_none() {
            tokio::select! {
                _ = committed.changed() => {}
                () = engine.leaving() => {}
            }
        }
    };
    let _ = tokio::time::timeout(NO_NEWS, later).await;
    match engine.audit().failure() {
        Some(failure) => Err(Refusal::Audit(failure).into()),
        None if engine.is_leaving() => Err(Refusal::Leaving.into()),
        None => Ok(Json(News { last: *committed.borrow() })),
    }
}

async fn nowhere() -> Refused {
    Error::not_found("there is no such route").into()
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, leaving: false }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let leaving = matches!(refusal, Refusal::Leaving);
        Self { error: refusal.into(), leaving }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.error.kind.http_status());
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(self)).into_response()
    }
}
