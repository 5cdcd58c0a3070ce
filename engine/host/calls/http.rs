//! `runbook:http`: requests and connections to granted addresses. Names are resolved once, checked, and the checked
//! address is the one connected to; redirects are not followed; no proxy of the environment is used.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::address::{Address, Coverage, forbidden};
use super::super::bindings::runbook::http::{http as wit, tcp};
use super::super::bindings::runbook::types::types::Error;
use super::super::call::{Asked, Call, Found, Imagined, Intent, Need, Trouble};
use super::super::context::{RunContext, lock};
use super::super::instance::Guest;
use super::super::limits;
use super::super::overlay::Overlay;
use super::super::secret::Use;
use super::super::world::World;
use super::http_secrets::{self, Part};
use model::grant::{ContainerAction, Selector};
use model::http_request::{Place, check_header, is_reserved};
use words::clock::{self, Deadline};
use words::effect::{Effect, Failure, FailureKind};
use words::ids::Digest;

/// A request; its fields are the recorded arguments.
#[derive(Debug, Clone, Serialize)]
struct Send {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    timeout_ms: u64,
    repeatable: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<Part>,
    #[serde(skip)]
    address: Option<Address>,
    /// When the attempt must have ended, milliseconds since 1970: no answer is waited for longer.
    #[serde(skip)]
    deadline: Deadline,
}

#[derive(Debug, Serialize, Deserialize)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    truncated: bool,
}

/// A connection that is opened and closed.
#[derive(Debug, Clone, Serialize)]
struct Connect {
    host: String,
    port: u16,
    timeout_ms: u64,
    #[serde(skip)]
    address: Option<Address>,
}

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Refuses a header that a step may not set.
pub(super) fn header(name: &str) -> Result<(), Failure> {
    let (kind, code) = if is_reserved(name) {
        (FailureKind::Denied, "http.reserved-header")
    } else {
        (FailureKind::Invalid, "http.header")
    };
    check_header(name).map_err(|unfit| Failure::new(kind, code, unfit.message))
}

/// Whether the run may connect there. A wildcard host means the containers it may read.
pub(crate) async fn granted(context: &RunContext, address: &Address) -> Result<(), Failure> {
    if let Some(ip) = address.ip().filter(|ip| forbidden(*ip)) {
        return Err(Failure::new(
            FailureKind::Denied,
            "http.forbidden-address",
            format!("{ip} is never reached from a step: link-local and metadata addresses are closed"),
        ));
    }
    match context.address_granted(address) {
        Coverage::Named => Ok(()),
        Coverage::None => Err(context.address_denied(address, "no grant names it; ")),
        Coverage::AnyContainer => match address.ip() {
            Some(ip) if belongs_to_a_container(context, ip).await? => Ok(()),
            _ => Err(context.address_denied(
                address,
                "a host `*` means the containers this run may read, and this is none of theirs; ",
            )),
        },
    }
}

async fn belongs_to_a_container(context: &RunContext, ip: IpAddr) -> Result<bool, Failure> {
    let known = lock(&context.memory).addresses.get(&ip).cloned();
    if let Some(id) = known {
        // The address was a container's when last seen; it must still be.
        let now = context.world.inspect(&id).await.map_err(|t| t.failure)?;
        if now.addresses.iter().any(|a| a.parse() == Ok(ip)) {
            return Ok(context.grant_for(&now, ContainerAction::Read).is_ok());
        }
    }
    for grant in &context.grants.containers {
        let found = match &grant.select {
            Selector::Service(service) => context.world.service(service).await,
            Selector::Project(project) => context.world.project(project).await,
            Selector::Label(_) => continue,
        };
        if found.map_err(|t| t.failure)?.iter().any(|c| c.addresses.iter().any(|a| a.parse() == Ok(ip))) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The one address to connect to.
async fn resolve(address: &Address) -> Result<SocketAddr, Trouble> {
    let found = match address.ip() {
        Some(ip) => vec![SocketAddr::new(ip, address.port)],
        None => tokio::net::lookup_host((address.host.as_str(), address.port))
            .await
            .map_err(|e| {
                Trouble::certain(
                    FailureKind::Unavailable,
                    "http.name",
                    format!("`{}` cannot be resolved: {e}", address.host),
                )
            })?
            .collect(),
    };
    if let Some(bad) = found.iter().find(|at| forbidden(at.ip())) {
        return Err(Trouble::certain(
            FailureKind::Denied,
            "http.forbidden-address",
            format!("`{}` leads to {}, which is never reached from a step", address.host, bad.ip()),
        ));
    }
    found.first().copied().ok_or_else(|| {
        Trouble::certain(FailureKind::Unavailable, "http.name", format!("`{}` has no address", address.host))
    })
}

impl Send {
    fn reads(&self) -> bool {
        matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    fn address(&self) -> Result<&Address, Trouble> {
        self.address.as_ref().ok_or_else(|| Trouble::certain(FailureKind::Invalid, "http.url", "no address"))
    }

    fn patience(&self) -> Duration {
        let left_ms = self.deadline.left_ms();
        Duration::from_millis(self.timeout_ms.min(left_ms))
    }

    async fn send(&self, world: &World) -> Result<Value, Trouble> {
        let address = self.address()?;
        let filled = http_secrets::fill(&self.secrets, self.body.as_ref(), world).await?;
        let at = resolve(address).await?;
        let invalid = |e: String| Trouble::certain(FailureKind::Invalid, "http.request", e);
        let method =
            reqwest::Method::from_bytes(self.method.as_bytes()).map_err(|e| invalid(e.to_string()))?;
        let client = client(&address.host, at).map_err(|e| invalid(e.to_string()))?;
        let mut request =
            client.request(method, plain_url(&self.url, address).map_err(invalid)?).timeout(self.patience());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in filled.headers {
            request = request.header(name, value);
        }
        if let Some(body) = filled.body {
            request = request.body(body);
        }
        let response = request.send().await.map_err(|e| self.failed(&e))?;
        self.read(response).await
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Value, Trouble> {
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let mut body = Vec::new();
        let mut truncated = false;
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(&e))? {
            let room = limits::MAX_BODY_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                truncated = true;
                break;
            }
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        serde_json::to_value(Response { status, headers, body, truncated })
            .map_err(|e| Trouble::certain(FailureKind::Internal, "http.response", e.to_string()))
    }

    fn failed(&self, error: &reqwest::Error) -> Trouble {
        let (kind, what) = if error.is_timeout() {
            (FailureKind::TimedOut, "did not answer in time")
        } else if error.is_connect() {
            (FailureKind::Unavailable, "cannot be connected to")
        } else if error.is_builder() {
            (FailureKind::Invalid, "cannot be asked like that")
        } else {
            (FailureKind::Unavailable, "did not answer as HTTP")
        };
        let reason = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
        let failure = Failure::new(kind, "http.failed", format!("{} {what}{reason}", self.url));
        Trouble { failure, certain: error.is_connect() || error.is_builder() }
    }
}

/// The URL with the host as it was checked: one that ends in a dot would be looked up again, unchecked, by the client.
fn plain_url(text: &str, address: &Address) -> Result<reqwest::Url, String> {
    let mut url = reqwest::Url::parse(text).map_err(|e| e.to_string())?;
    if url.host_str().is_some_and(|host| host.ends_with('.')) {
        url.set_host(Some(&address.host)).map_err(|e| e.to_string())?;
    }
    Ok(url)
}

fn client(host: &str, at: SocketAddr) -> reqwest::Result<reqwest::Client> {
    // One crypto provider for the whole binary; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .resolve(host, at)
        .user_agent(concat!("runbook/", env!("CARGO_PKG_VERSION")))
        .build()
}

impl Call for Send {
    fn function(&self) -> &'static str {
        "http.send"
    }

    fn arguments(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn effect(&self) -> Effect {
        if self.reads() { Effect::Read } else { Effect::Once }
    }

    fn need(&self) -> Need {
        self.address.clone().map_or(Need::Nothing, Need::Address)
    }

    fn time_ms(&self) -> u64 {
        self.timeout_ms.saturating_add(limits::CALL_MARGIN_MS)
    }

    fn check(&self) -> Result<(), Failure> {
        if !METHODS.contains(&self.method.as_str()) {
            let message = format!("`{}` is not one of {}", self.method.escape_debug(), METHODS.join(", "));
            return Err(Failure::new(FailureKind::Invalid, "http.method", message));
        }
        if self.timeout_ms > limits::MAX_WAIT_MS {
            let message = format!("{} ms is longer than {} ms", self.timeout_ms, limits::MAX_WAIT_MS);
            return Err(Failure::new(FailureKind::Invalid, "http.timeout", message));
        }
        if self.body.as_ref().is_some_and(|body| body.len() > limits::MAX_BODY_BYTES) {
            let message = format!("the body has more than {} bytes", limits::MAX_BODY_BYTES);
            return Err(Failure::new(FailureKind::Exhausted, "http.body", message));
        }
        for (name, _) in &self.headers {
            header(name)?;
        }
        http_secrets::check(&self.secrets, &self.headers, self.body.as_ref())?;
        Address::of_url(&self.url).map(|_| ())
    }

    fn secrets(&self) -> Vec<Use> {
        http_secrets::uses(&self.secrets, &self.method, &self.url)
    }

    /// With secrets it is never sent for a plan, whatever its method.
    fn supposed(&self) -> bool {
        !self.reads() || !self.secrets.is_empty()
    }

    fn perform<'a>(&'a self, world: &'a World, _key: &'a Digest) -> Asked<'a> {
        self.send(world).boxed()
    }

    fn establish<'a>(&'a self, _world: &'a World, _intent: &'a Intent) -> Asked<'a, Found> {
        let found = if self.repeatable {
            Found::NotDone
        } else {
            Found::Doubt(format!(
                "whether {} {} was received cannot be seen from here",
                self.method, self.url
            ))
        };
        async { Ok(found) }.boxed()
    }

    fn imagine(&self, _overlay: &mut Overlay, _before: &Value, _key: &Digest) -> Result<Imagined, Failure> {
        let answer = Response { status: 200, headers: Vec::new(), body: String::new(), truncated: false };
        Ok(Imagined {
            answer: serde_json::to_value(answer).unwrap_or(Value::Null),
            target: self.url.clone(),
            assumption: Some(format!(
                "that {} {} is answered with 200 and an empty body",
                self.method, self.url
            )),
        })
    }

    fn settled_answer<'a>(&'a self, _world: &'a World) -> Asked<'a> {
        let answer = Response { status: 200, headers: Vec::new(), body: String::new(), truncated: true };
        async move { Ok(serde_json::to_value(answer).unwrap_or(Value::Null)) }.boxed()
    }
}

impl Call for Connect {
    fn function(&self) -> &'static str {
        "tcp.connect"
    }

    fn arguments(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    fn need(&self) -> Need {
        self.address.clone().map_or(Need::Nothing, Need::Address)
    }

    fn time_ms(&self) -> u64 {
        self.timeout_ms.min(limits::MAX_SLEEP_MS).saturating_add(limits::CALL_MARGIN_MS)
    }

    fn check(&self) -> Result<(), Failure> {
        Address::of_tcp(&self.host, self.port).map(|_| ())
    }

    fn perform<'a>(&'a self, _world: &'a World, _key: &'a Digest) -> Asked<'a> {
        async move {
            let Some(address) = &self.address else {
                return Err(Trouble::certain(FailureKind::Invalid, "tcp.address", "no address"));
            };
            let at = resolve(address).await?;
            let started = Instant::now();
            let limit = Duration::from_millis(self.timeout_ms.min(limits::MAX_SLEEP_MS));
            match clock::within(limit, tokio::net::TcpStream::connect(at)).await {
                Ok(Ok(_)) => {
                    Ok(Value::from(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)))
                }
                Ok(Err(e)) => Err(Trouble::certain(
                    FailureKind::Unavailable,
                    "tcp.refused",
                    format!("{address} refuses: {e}"),
                )),
                Err(_) => Err(Trouble::certain(
                    FailureKind::TimedOut,
                    "tcp.timeout",
                    format!("{address} does not answer"),
                )),
            }
        }
        .boxed()
    }
}

impl wit::Host for Guest {
    async fn send(
        &mut self,
        request: wit::Request,
        secrets: Vec<wit::SecretPart>,
    ) -> wasmtime::Result<Result<wit::Response, Error>> {
        let part = |given: wit::SecretPart| {
            let place = match given.place {
                wit::SecretPlace::Header(name) => Place::Header(name),
                wit::SecretPlace::JsonField(pointer) => Place::JsonField(pointer),
                wit::SecretPlace::FormField(name) => Place::FormField(name),
                wit::SecretPlace::BasicAuth(user) => Place::BasicAuth(user),
            };
            let secret = self.handles().get(&given.secret)?.0.clone();
            Ok(Part { secret, place, prefix: given.prefix })
        };
        let secrets = secrets.into_iter().map(part).collect::<wasmtime::Result<_>>()?;
        let wit::Request { method, url, headers, body, timeout_ms, repeatable } = request;
        let address = Address::of_url(&url).ok();
        let deadline = self.deadline();
        let call = Send { method, url, headers, body, timeout_ms, repeatable, secrets, address, deadline };
        Ok(self.pass::<Response>(call).await?.map(|r| wit::Response {
            status: r.status,
            headers: r.headers,
            body: r.body,
            truncated: r.truncated,
        }))
    }
}

impl tcp::Host for Guest {
    async fn connect(
        &mut self,
        host: String,
        port: u16,
        timeout_ms: u64,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let address = Address::of_tcp(&host, port).ok();
        self.pass(Connect { host, port, timeout_ms, address }).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_was_checked_is_the_host_that_is_asked() {
        for (text, wanted) in [
            ("http://example.com./x?y", "http://example.com/x?y"),
            ("http://EXAMPLE.com:8080/", "http://example.com:8080/"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
            ("http://127.0.0.1./", "http://127.0.0.1/"),
        ] {
            let address = Address::of_url(text).unwrap();
            assert_eq!(plain_url(text, &address).unwrap().as_str(), wanted);
        }
    }
}
