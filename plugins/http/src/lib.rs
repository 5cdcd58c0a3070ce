//! The plugin `http`: requests to what a run is granted.

use std::collections::BTreeMap;

mod secrets;

use runbook_plugin::{
    Context, Deserialize, Duration, Error, Host, JsonSchema, Request, Response, Serialize, Step, rule, text,
};
use serde_json::Value;

/// What this plugin performs.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new("request", "Send one HTTP request.", &["http.request"], request)]
}

runbook_plugin::export!(steps);

/// From this status on a response is a failure, unless `expect` says otherwise.
const FIRST_ERROR_STATUS: u16 = 400;

/// How much of a body an output holds.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// How deep a body may be to be told as JSON: an output has at most 64 levels, and `json` stands in its first.
const MAX_JSON_DEPTH: usize = 63;

/// How many values and keys it may hold: an output has at most 100,000, and there are headers.
const MAX_JSON_VALUES: usize = 90_000;

/// How much of a failing response is told.
const TOLD_CHARACTERS: usize = 300;

/// The input of `http.request`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = [rule::not_both("body", "json")], "secretPlaces" = true))]
pub struct Input {
    /// `http://` or `https://`, absolute.
    #[schemars(regex(pattern = "^https?://"), extend("format" = "http-url"))]
    pub url: String,
    /// The method.
    #[serde(default)]
    pub method: Method,
    /// Request headers.
    #[serde(default)]
    #[schemars(extend(
        "propertyNames" = { "format": "header-name" },
        "additionalProperties" = { "type": "string", "format": "header-value" },
    ))]
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    #[schemars(extend("maxBytes" = 1_048_576))]
    pub body: Option<String>,
    /// The body as JSON; sets the content type.
    #[schemars(extend("maxJsonBytes" = 1_048_576))]
    pub json: Option<Value>,
    /// How long the answer may take.
    #[serde(default = "ten_seconds")]
    #[schemars(extend("atMost" = "1h"))]
    pub timeout: Duration,
    /// The statuses that are right; any below 400 if not given.
    pub expect: Option<Vec<u16>>,
    /// Secrets that the engine puts into the request; this plugin never sees them. Each says where it goes: one of `header`,
    /// `json_field`, `form_field` and `basic_auth`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub secrets: Vec<secrets::Part>,
    /// That a write may be sent again after a crash without harm.
    #[serde(default)]
    pub repeatable: bool,
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

/// A method.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
        }
    }
}

/// What was answered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Output {
    /// The status.
    pub status: u16,
    /// Headers by lower-case name; the values of a repeated one are joined by `, `.
    pub headers: BTreeMap<String, String>,
    /// The body as text, at most 256 KiB.
    pub body: String,
    /// Whether the body was cut.
    pub truncated: bool,
    /// The body as JSON, if it is; else null. Also null if it is nested deeper than 63 levels or holds more than 90,000
    /// values and keys: `body` has the text.
    pub json: Value,
}

fn request(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let mut headers: Vec<(String, String)> = input.headers.clone().into_iter().collect();
    let body = match (&input.body, &input.json) {
        (Some(_), Some(_)) => return Err(Error::invalid("http.body", "give either `body` or `json`")),
        (body, None) => body.clone(),
        (None, Some(json)) => {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
            Some(json.to_string())
        }
    };
    let mut request = Request {
        method: input.method.word().to_owned(),
        url: input.url.clone(),
        headers,
        body,
        timeout_ms: input.timeout.as_ms(),
        repeatable: input.repeatable,
    };
    let response = if input.secrets.is_empty() {
        host.send(&request, &[])?
    } else {
        secrets::send(host, &mut request, &input.secrets)?
    };
    let right = match &input.expect {
        Some(statuses) => statuses.contains(&response.status),
        None => response.status < FIRST_ERROR_STATUS,
    };
    if right { Ok(output(response)) } else { Err(refused(input, &response)) }
}

fn refused(input: &Input, response: &Response) -> Error {
    let told: String = response.body.chars().take(TOLD_CHARACTERS).collect();
    let words =
        format!("`{} {}` answers {}: {}", input.method.word(), input.url, response.status, told.trim());
    Error::conflict("http.status", words.trim_end_matches([':', ' ']))
}

fn output(response: Response) -> Output {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in response.headers {
        let all = headers.entry(name.to_lowercase()).or_default();
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(&value);
    }
    let body = text::beginning(&response.body, MAX_BODY_BYTES).to_owned();
    let truncated = response.truncated || body.len() < response.body.len();
    let json = serde_json::from_str(&body).ok().filter(is_told).unwrap_or(Value::Null);
    Output { status: response.status, headers, body, truncated, json }
}

/// Whether an output can hold the value.
fn is_told(value: &Value) -> bool {
    let (mut open, mut values) = (vec![(value, 0)], 0);
    while let Some((value, depth)) = open.pop() {
        let (inside, keys): (Vec<&Value>, usize) = match value {
            Value::Array(items) => (items.iter().collect(), 0),
            Value::Object(members) => (members.values().collect(), members.len()),
            _ => continue,
        };
        values += inside.len() + keys;
        if depth >= MAX_JSON_DEPTH || values > MAX_JSON_VALUES {
            return false;
        }
        open.extend(inside.into_iter().map(|value| (value, depth + 1)));
    }
    true
}

#[cfg(test)]
mod tests {
    use runbook_plugin::ErrorKind;
    use runbook_plugin::mock::World;

    use super::{Input, request};

    fn input(more: &str) -> Input {
        serde_json::from_str(&format!(r#"{{ "url": "http://api/things" {more} }}"#)).expect("a good input")
    }

    #[test]
    fn an_answer() {
        let world = World::new();
        world.answer_http("http://api/things", 200, r#"{"things": 3}"#);
        let output = request(&world, &world.context(), &input("")).expect("it answers");
        assert_eq!((output.status, &output.json["things"]), (200, &3.into()));
        world.answer_http("http://api/things", 200, "plain");
        let output = request(&world, &world.context(), &input("")).expect("it answers");
        assert!(output.json.is_null());
    }

    #[test]
    fn json_that_no_output_can_hold_is_told_as_text() {
        let world = World::new();
        let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let many = |values: usize| format!("[{}1]", "1,".repeat(values - 1));
        for (body, told) in [
            (nested(63), true),
            (nested(64), false),
            (nested(127), false),
            (many(90_000), true),
            (many(90_001), false),
        ] {
            world.answer_http("http://api/things", 200, &body);
            let output = request(&world, &world.context(), &input("")).expect("it answers");
            assert_eq!((output.json.is_array(), &output.body), (told, &body));
        }
    }

    #[test]
    fn json_goes_out_as_json() {
        let world = World::new();
        world.answer_http("http://api/things", 201, "");
        let more = r#", "method": "POST", "json": { "a": [1] }, "repeatable": true"#;
        request(&world, &world.context(), &input(more)).expect("it answers");
        let sent = world.sent().remove(0);
        assert_eq!((sent.method.as_str(), sent.body.as_deref()), ("POST", Some(r#"{"a":[1]}"#)));
        assert!(sent.repeatable);
        assert_eq!(sent.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        let error =
            request(&world, &world.context(), &input(r#", "body": "x", "json": 1"#)).expect_err("both");
        assert_eq!(error.kind, ErrorKind::Invalid);
    }

    #[test]
    fn an_error_status_fails_unless_expected() {
        let world = World::new();
        world.answer_http("http://api/things", 404, "no such thing");
        let error = request(&world, &world.context(), &input("")).expect_err("404");
        assert_eq!(error.message, "`GET http://api/things` answers 404: no such thing");
        let output = request(&world, &world.context(), &input(r#", "expect": [404]"#)).expect("as expected");
        assert_eq!(output.status, 404);
        assert!(request(&world, &world.context(), &input(r#", "expect": [200]"#)).is_err());
    }
}
