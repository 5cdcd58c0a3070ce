//! Secrets in a request: put in by the host at the moment of sending, into a header or the body, never into the URL.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::super::call::Trouble;
use super::super::limits;
use super::super::secret::{SecretRef, Use};
use super::super::world::World;
use super::http::header as header_of_step;
use model::http_request::{AUTHORIZATION, Place, check_body, check_place, check_together, is_reserved};
use words::effect::{Failure, FailureKind};
use words::secret::SecretValue;
use words::unfit::Unfit;

/// A secret and where it goes; its fields are the recorded arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Part {
    #[serde(flatten)]
    pub(super) secret: SecretRef,
    #[serde(flatten)]
    pub(super) place: Place,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) prefix: String,
}

fn invalid(message: String) -> Failure {
    Failure::new(FailureKind::Invalid, "http.secret-place", message)
}

/// Where the secrets of a request go, in words.
pub(super) fn uses(parts: &[Part], method: &str, url: &str) -> Vec<Use> {
    let one = |part: &Part| Use {
        secret: part.secret.clone(),
        place: format!("{} of {method} {url}", part.place.words()),
    };
    parts.iter().map(one).collect()
}

/// Refuses places that cannot be, before anything is asked.
pub(super) fn check(
    parts: &[Part],
    headers: &[(String, String)],
    body: Option<&String>,
) -> Result<(), Failure> {
    if parts.len() > limits::MAX_SECRETS {
        let message = format!("a request takes at most {} secrets", limits::MAX_SECRETS);
        return Err(Failure::new(FailureKind::Exhausted, "secrets.too-many", message));
    }
    let unfit = |unfit: Unfit| invalid(unfit.message);
    for part in parts {
        if let Some(name) = part.place.header().filter(|name| is_reserved(name)) {
            header_of_step(name)?;
        }
        check_place(&part.place, &part.prefix).map_err(unfit)?;
    }
    let places: Vec<&Place> = parts.iter().map(|part| &part.place).collect();
    let plain: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
    check_together(&places, &plain).map_err(unfit)?;
    check_body(&places, body.map(String::as_str)).map_err(unfit)
}

/// What is sent: never recorded, never printed.
pub(super) struct Filled {
    pub(super) headers: Vec<(String, reqwest::header::HeaderValue)>,
    pub(super) body: Option<String>,
}

/// Fetches the texts and puts them where they go.
pub(super) async fn fill(parts: &[Part], body: Option<&String>, world: &World) -> Result<Filled, Trouble> {
    let mut filled = Filled { headers: Vec::new(), body: body.cloned() };
    let mut json: Option<Value> = None;
    for part in parts {
        let value = world.secret(&part.secret).await?;
        put(part, &value, &mut filled, &mut json).map_err(|failure| Trouble { failure, certain: true })?;
    }
    if let Some(json) = json {
        filled.body = Some(json.to_string());
    }
    if filled.body.as_ref().is_some_and(|body| body.len() > limits::MAX_BODY_BYTES) {
        let message = format!("with its secrets the body has more than {} bytes", limits::MAX_BODY_BYTES);
        return Err(Trouble::certain(FailureKind::Exhausted, "http.body", message));
    }
    Ok(filled)
}

fn put(
    part: &Part,
    value: &Arc<SecretValue>,
    filled: &mut Filled,
    json: &mut Option<Value>,
) -> Result<(), Failure> {
    let text = format!("{}{}", part.prefix, value.expose());
    match &part.place {
        Place::Header(name) => filled.headers.push((name.clone(), header(part, &text)?)),
        Place::BasicAuth(user) => {
            let both = STANDARD.encode(format!("{user}:{text}"));
            filled.headers.push((AUTHORIZATION.to_owned(), header(part, &format!("Basic {both}"))?));
        }
        Place::JsonField(pointer) => {
            let read = || serde_json::from_str(filled.body.as_deref().unwrap_or("{}")).unwrap_or_default();
            set(json.get_or_insert_with(read), pointer, text)?;
        }
        Place::FormField(name) => {
            let body = filled.body.get_or_insert_default();
            let there = form(body).any(|(known, _)| known == *name);
            if there {
                return Err(invalid(format!("form field `{}` is there already", name.escape_debug())));
            }
            let field = encoded(&[(name, &text)]);
            if !body.is_empty() && !body.ends_with('&') {
                body.push('&');
            }
            body.push_str(&field);
        }
    }
    Ok(())
}

/// A line break would begin another header.
fn header(part: &Part, text: &str) -> Result<reqwest::header::HeaderValue, Failure> {
    let refused = |why: &str| {
        invalid(format!("version {} of the secret `{}` {why}", part.secret.version, part.secret.secret))
    };
    if text.contains(['\r', '\n']) {
        let words = "holds a line break, which a header cannot carry: set it again without, for example `printf %s \
                     VALUE | runbook secret set`";
        return Err(refused(words));
    }
    let mut value = reqwest::header::HeaderValue::from_bytes(text.as_bytes())
        .map_err(|_| refused("holds characters that a header cannot carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Sets a text by its pointer (RFC 6901): one that is there, or a new member of an object that is.
fn set(json: &mut Value, pointer: &str, text: String) -> Result<(), Failure> {
    let shown = pointer.escape_debug();
    if let Some(there) = json.pointer_mut(pointer) {
        if !there.is_string() {
            return Err(invalid(format!("`{shown}` of the body is no text, and a secret is one")));
        }
        *there = Value::String(text);
        return Ok(());
    }
    let (parent, name) = pointer.rsplit_once('/').unwrap_or_default();
    match json.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.insert(name.replace("~1", "/").replace("~0", "~"), Value::String(text));
            Ok(())
        }
        _ => Err(invalid(format!("there is no object in the body that could hold `{shown}`"))),
    }
}

fn form(body: &str) -> impl Iterator<Item = (String, String)> + '_ {
    // A URL's own reader of forms, with nothing but a query.
    let url = reqwest::Url::parse(&format!("http://form/?{body}")).ok();
    let pairs: Vec<_> = url
        .iter()
        .flat_map(reqwest::Url::query_pairs)
        .map(|(n, v)| (n.into_owned(), v.into_owned()))
        .collect();
    pairs.into_iter()
}

fn encoded(fields: &[(&String, &String)]) -> String {
    let mut url = reqwest::Url::parse("http://form/").ok();
    if let Some(url) = &mut url {
        url.query_pairs_mut().extend_pairs(fields);
    }
    url.as_ref().and_then(reqwest::Url::query).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(place: Place, prefix: &str) -> Part {
        let secret = serde_json::from_value(json!({ "secret": "api/token", "version": "3" })).unwrap();
        Part { secret, place, prefix: prefix.to_owned() }
    }

    fn filled(parts: &[Part], body: Option<&str>, value: &str) -> Result<Filled, Failure> {
        let value = Arc::new(SecretValue::new(value.to_owned()).ok().unwrap());
        let mut filled = Filled { headers: Vec::new(), body: body.map(str::to_owned) };
        let mut json = None;
        for part in parts {
            put(part, &value, &mut filled, &mut json)?;
        }
        if let Some(json) = json {
            filled.body = Some(json.to_string());
        }
        Ok(filled)
    }

    #[test]
    fn what_is_recorded_names_and_places() {
        let part = part(Place::Header("authorization".to_owned()), "Bearer ");
        let recorded = serde_json::to_value(&part).unwrap();
        let wanted =
            json!({ "secret": "api/token", "version": "3", "header": "authorization", "prefix": "Bearer " });
        assert_eq!(recorded, wanted);
    }

    #[test]
    fn into_headers() {
        let basic = filled(&[part(Place::BasicAuth("me".to_owned()), "")], None, "hunter2").ok().unwrap();
        assert_eq!(basic.headers[0].1.as_bytes(), b"Basic bWU6aHVudGVyMg==");
        assert!(basic.headers[0].1.is_sensitive());
        for value in ["a\r\nx: y", "a\n", "a\u{1}b"] {
            let refused = filled(&[part(Place::Header("x".to_owned()), "")], None, value).err().unwrap();
            assert!(refused.message.contains("api/token") && !refused.message.contains(value));
        }
    }

    #[test]
    fn into_bodies() {
        let at = |pointer: &str, body: &str| {
            let place = Place::JsonField(pointer.to_owned());
            filled(&[part(place, "t:")], Some(body), "a\"b").map(|filled| filled.body.unwrap())
        };
        assert_eq!(at("/a/b", r#"{"a":{"b":"x"}}"#).unwrap(), r#"{"a":{"b":"t:a\"b"}}"#);
        assert_eq!(at("/new~1x", "{}").unwrap(), r#"{"new/x":"t:a\"b"}"#);
        assert_eq!(at("/0", r#"["x"]"#).unwrap(), r#"["t:a\"b"]"#);
        for (pointer, body) in [("/a", r#"{"a":1}"#), ("/a/b", "{}"), ("/5", "[]"), ("/a", "[]")] {
            assert!(at(pointer, body).is_err(), "{pointer} {body}");
        }
        let form = |body: &str| {
            filled(&[part(Place::FormField("p w".to_owned()), "")], Some(body), "a&b=c d%\u{e9}")
                .map(|filled| filled.body.unwrap())
        };
        assert_eq!(form("").unwrap(), "p+w=a%26b%3Dc+d%25%C3%A9");
        assert_eq!(form("u=me").unwrap(), "u=me&p+w=a%26b%3Dc+d%25%C3%A9");
        assert!(form("p+w=x").is_err());
    }

    #[test]
    fn places_that_cannot_be() {
        let plain = [("X-Token".to_owned(), "x".to_owned())];
        let body = "{}".to_owned();
        let refused = |parts: &[Part]| check(parts, &plain, Some(&body)).unwrap_err().code;
        let header = |name: &str| part(Place::Header(name.to_owned()), "");
        for bad in ["x-token", "a b", "", "x\r\ny"] {
            assert_eq!(refused(&[header(bad)]), "http.secret-place", "{bad}");
        }
        assert_eq!(refused(&[header("HOST")]), "http.reserved-header");
        assert_eq!(
            refused(&[header("authorization"), part(Place::BasicAuth("me".to_owned()), "")]),
            "http.secret-place"
        );
        assert_eq!(refused(&vec![header("a"); 17]), "secrets.too-many");
        let json = || part(Place::JsonField("/a".to_owned()), "");
        assert_eq!(refused(&[json(), part(Place::FormField("a".to_owned()), "")]), "http.secret-place");
        let form = || part(Place::FormField("a".to_owned()), "");
        assert_eq!(refused(&[form()]), "http.secret-place", "the body is JSON");
        for body in ["a=b", "12", ""] {
            assert!(check(&[form()], &plain, Some(&body.to_owned())).is_ok(), "{body}");
        }
        assert!(check(&[json()], &plain, Some(&body)).is_ok());
        assert!(check(&[json()], &plain, None).is_err());
    }
}
