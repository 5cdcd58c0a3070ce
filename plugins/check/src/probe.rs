//! `check.http` and `check.tcp`: what every replica answers at its own address.

use runbook_plugin::{
    Container, Context, Deserialize, Duration, Error, Host, JsonSchema, Request, Response, Serialize, Step,
};

use crate::{Failed, Report, as_reason};

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![
        Step::new(
            "http",
            "Ask every replica of a service over HTTP at its own address.",
            &["containers.read", "http.request"],
            http,
        ),
        Step::new(
            "tcp",
            "Open a connection to every replica of a service at its own address.",
            &["containers.read", "tcp.connect"],
            tcp,
        ),
    ]
}

/// The input of `check.http`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// The port inside the container.
    #[schemars(range(min = 1))]
    port: u16,
    /// Begins with `/`.
    #[serde(default = "root")]
    #[schemars(regex(pattern = "^/"), extend("format" = "url-path"))]
    path: String,
    /// The status that is right, or several.
    #[serde(default)]
    expect: Expect,
    /// Text that must be in the body.
    contains: Option<String>,
    /// `http` or `https`.
    #[serde(default)]
    scheme: Scheme,
    /// Further request headers.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = { "format": "header-name" },
        "additionalProperties" = { "type": "string", "format": "header-value" },
    ))]
    headers: std::collections::BTreeMap<String, String>,
    /// How long a replica may take to answer.
    #[serde(default = "five_seconds")]
    #[schemars(extend("atMost" = "1h"))]
    timeout: Duration,
}

/// The input of `check.tcp`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tcp {
    /// `project/service`, or the service alone where it is unique.
    #[schemars(extend("format" = "service-name"))]
    service: String,
    /// The port inside the container.
    #[schemars(range(min = 1))]
    port: u16,
    /// How long a replica may take to answer.
    #[serde(default = "five_seconds")]
    timeout: Duration,
}

/// One status or several.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Expect {
    /// `200`
    One(u16),
    /// `[200, 204]`
    Several(Vec<u16>),
}

impl Default for Expect {
    fn default() -> Self {
        Self::One(200)
    }
}

impl Expect {
    fn allows(&self, status: u16) -> bool {
        match self {
            Self::One(right) => *right == status,
            Self::Several(right) => right.contains(&status),
        }
    }
}

/// How to speak.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scheme {
    #[default]
    Http,
    Https,
}

fn root() -> String {
    "/".to_owned()
}

fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

fn http(host: &impl Host, _: &Context, input: &Http) -> Result<Report, Error> {
    let scheme = match input.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    each(host, &input.service, |address| {
        let request = Request {
            method: "GET".to_owned(),
            url: format!("{scheme}://{}:{}{}", bracketed(address), input.port, input.path),
            headers: input.headers.clone().into_iter().collect(),
            body: None,
            timeout_ms: input.timeout.as_ms(),
            repeatable: true,
        };
        match host.send(&request, &[]) {
            Ok(response) => Ok(why_wrong(input, &response)),
            Err(error) => as_reason(error).map(Some),
        }
    })
}

fn tcp(host: &impl Host, _: &Context, input: &Tcp) -> Result<Report, Error> {
    each(host, &input.service, |address| match host.connect(address, input.port, input.timeout) {
        Ok(_) => Ok(None),
        Err(error) => as_reason(error).map(Some),
    })
}

/// Asks every replica; `ask` returns what is wrong. One that does not run is not asked.
fn each(
    host: &impl Host,
    service: &str,
    ask: impl Fn(&str) -> Result<Option<String>, Error>,
) -> Result<Report, Error> {
    let replicas = host.service(service)?;
    let mut failures = Vec::new();
    for container in &replicas {
        let reason = match address(container) {
            Ok(address) => ask(address)?,
            Err(reason) => Some(reason),
        };
        failures.extend(reason.map(|reason| Failed { name: container.name.clone(), reason }));
    }
    let service = replicas.first().map_or_else(|| service.to_owned(), |c| c.service.clone());
    Ok(Report::new(service, replicas.len(), failures))
}

fn address(container: &Container) -> Result<&str, String> {
    if !container.up() {
        return Err(format!("it is {}", container.state.word()));
    }
    container.addresses.first().map(String::as_str).ok_or_else(|| "it has no address of its own".to_owned())
}

/// An IPv6 address stands in brackets in a URL.
fn bracketed(address: &str) -> String {
    if address.contains(':') { format!("[{address}]") } else { address.to_owned() }
}

fn why_wrong(input: &Http, response: &Response) -> Option<String> {
    if !input.expect.allows(response.status) {
        return Some(format!("it answers {}", response.status));
    }
    let text = input.contains.as_ref().filter(|text| !response.body.contains(text.as_str()))?;
    Some(format!("its answer does not contain `{text}`"))
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;
    use runbook_plugin::{ErrorKind, State};

    use super::{Http, Tcp, http, tcp};

    fn http_input(more: &str) -> Http {
        let text = format!(r#"{{ "service": "shop/web", "port": 8080, "path": "/healthz" {more} }}"#);
        serde_json::from_str(&text).expect("a good input")
    }

    #[test]
    fn every_replica_by_its_own_address() {
        let world = World::new().with_service("shop/web", 4);
        world.answer_http("http://10.0.0.1:8080/healthz", 200, "fine");
        world.answer_http("http://10.0.0.2:8080/healthz", 503, "busy");
        world.change("shop-web-4", |c| c.state = State::Exited);
        let report = http(&world, &world.context(), &http_input("")).expect("it works");
        assert_eq!((report.replicas, report.healthy, report.ok), (4, 1, false));
        let reasons: Vec<&str> = report.failures.iter().map(|f| f.reason.as_str()).collect();
        assert_eq!(
            reasons,
            ["it answers 503", "`http://10.0.0.3:8080/healthz` does not answer", "it is exited"]
        );
    }

    #[test]
    fn status_and_body() {
        let world = World::new().with_service("shop/web", 1);
        world.answer_http("http://10.0.0.1:8080/healthz", 204, "{\"db\": \"up\"}");
        let ok = |more: &str| http(&world, &world.context(), &http_input(more)).expect("it works").ok;
        assert!(!ok(""));
        assert!(ok(r#", "expect": 204"#));
        assert!(ok(r#", "expect": [200, 204], "contains": "up""#));
        assert!(!ok(r#", "expect": 204, "contains": "down""#));
    }

    #[test]
    fn a_denial_is_an_error() {
        let world = World::new().with_service("shop/web", 2);
        world.refuse("send", 0, ErrorKind::Denied);
        let error = http(&world, &world.context(), &http_input("")).expect_err("denied");
        assert_eq!(error.kind, ErrorKind::Denied);
    }

    #[test]
    fn connections() {
        let world = World::new().with_service("shop/db", 2);
        world.listen("10.0.0.1:5432");
        let input: Tcp =
            serde_json::from_str(r#"{ "service": "shop/db", "port": 5432 }"#).expect("a good input");
        let report = tcp(&world, &world.context(), &input).expect("it works");
        assert_eq!((report.replicas, report.healthy), (2, 1));
        assert_eq!(report.failures[0].reason, "`10.0.0.2:5432` does not answer");
    }
}
