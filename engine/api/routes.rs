//! The routes: each translates one document into one call of the engine, and its answer back.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

use serde::de::DeserializeOwned;

use super::wire::{Commanded, Done, Fact, Halted, Health, Refused, Submitted};
use crate::error::{Error, Kind};
use crate::executor::Engine;
use crate::executor::request::{Plan, Request};
use crate::model::ids::RunId;
use crate::model::json;

/// A request holds a runbook and those it may call, each at most 256 KiB.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// What a request puts around the values that are given with it, in levels: each value is held to its own limit later.
const ENVELOPE_LEVELS: usize = 8;

/// All of them.
pub(super) fn router(engine: Engine) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/runs", post(submit))
        .route("/v1/plans", post(plan))
        .route("/v1/runs/{run}/commands", post(command))
        .route("/v1/halt", post(halt))
        .route("/v1/facts", post(fact))
        .fallback(nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(engine)
}

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
    })
}

async fn submit(State(engine): State<Engine>, Document(request): Document<Request>) -> Answer<Submitted> {
    let run = engine.submit(request).await.map_err(Error::from)?;
    Ok(Json(Submitted { run }))
}

async fn plan(State(engine): State<Engine>, Document(request): Document<Request>) -> Answer<Plan> {
    Ok(Json(engine.plan(request).await.map_err(Error::from)?))
}

async fn command(
    State(engine): State<Engine>,
    Path(run): Path<String>,
    Document(commanded): Document<Commanded>,
) -> Answer<Done> {
    let run = RunId::new(run).map_err(|error| Error::invalid(error.to_string()))?;
    engine.command(&run, commanded.command, &commanded.actor).await.map_err(Error::from)?;
    Ok(Json(Done {}))
}

async fn halt(State(engine): State<Engine>, Document(halted): Document<Halted>) -> Answer<Done> {
    engine.halt(halted.on, &halted.reason, &halted.actor).await.map_err(Error::from)?;
    Ok(Json(Done {}))
}

async fn fact(State(engine): State<Engine>, Document(fact): Document<Fact>) -> Answer<Done> {
    engine.fact(&fact.actor, &fact.kind, fact.data, fact.state).await.map_err(Error::from)?;
    Ok(Json(Done {}))
}

async fn nowhere() -> Refused {
    Refused { error: Error::not_found("there is no such route") }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.error.kind.http_status());
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(self)).into_response()
    }
}
