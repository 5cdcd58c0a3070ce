//! What can be told of an HTTP request before it is sent: its URL, the headers that a step may set, the places where its
//! secrets go. `validate` and the host use the same checks.

use serde::Serialize;
use serde_json::Value;
use url::Url;

use words::unfit::Unfit;

/// The longest name of a place, or prefix of a secret, in bytes.
pub const MAX_PLACE_BYTES: usize = 1_024;
/// The longest part of a wrong URL that is quoted, in characters.
const MAX_SHOWN_CHARS: usize = 200;
/// The header of basic authentication.
pub const AUTHORIZATION: &str = "authorization";

/// Headers by which one connection reaches another host than the granted one, or one request hides another.
const RESERVED_HEADERS: [&str; 10] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
];

/// Whether `text` is an absolute `http` or `https` URL without credentials.
pub fn check_url(text: &str) -> Result<(), Unfit> {
    let shown: String = text.chars().take(MAX_SHOWN_CHARS).collect();
    let unfit = |why: &str, hint: &str| {
        let hint =
            if hint.is_empty() { "write for example `http://shop.internal:8080/healthz`" } else { hint };
        Unfit::new(format!("`{}` {why}", shown.escape_debug()), hint)
    };
    if text.bytes().any(|b| b.is_ascii_control() || b == b' ' || b == b'\\') {
        return Err(unfit("contains a space, a backslash or a control character", "write a space as `%20`"));
    }
    let url = Url::parse(text).map_err(|error| unfit(&format!("is not a URL: {error}"), ""))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(unfit("begins with neither `http://` nor `https://`", ""));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(unfit(
            "contains credentials",
            "send them in a header; a password is a secret: `secrets: [{ name: NAME, basic_auth: USER }]`",
        ));
    }
    if url.host_str().is_none_or(str::is_empty) || url.port_or_known_default().is_none_or(|port| port == 0) {
        return Err(unfit("names no host or no port", ""));
    }
    Ok(())
}

/// Whether the engine alone may set this header.
pub fn is_reserved(name: &str) -> bool {
    RESERVED_HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Whether a step may set the header `name`.
pub fn check_header(name: &str) -> Result<(), Unfit> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > MAX_PLACE_BYTES || !name.bytes().all(token) {
        let shown: String = name.chars().take(MAX_SHOWN_CHARS).collect();
        let hint = "a name is letters, digits and dashes, for example `x-request-id`; no space and no `:`";
        return Err(Unfit::new(format!("`{}` is not the name of a header", shown.escape_debug()), hint));
    }
    if !is_reserved(name) {
        return Ok(());
    }
    let message = format!("a step may not set the header `{name}`");
    Err(if name.eq_ignore_ascii_case("host") {
        Unfit::new(
            format!("{message}: with it a request reaches another site than the address that is granted"),
            "write the site into the URL of `http.request` and grant it, or ask from inside with `container.exec`: \
             `[curl, -fsS, -H, \"Host: shop.example\", \"http://localhost:8080/\"]`",
        )
    } else {
        Unfit::new(
            format!("{message}: it says how a request is sent, and the engine sends it"),
            "leave it out",
        )
    })
}

/// Whether `text` can be the value of a header.
pub fn check_header_value(text: &str) -> Result<(), Unfit> {
    if text.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
        return Err(Unfit::new(
            "the value of a header contains a line break or another control character",
            "write it on one line",
        ));
    }
    Ok(())
}

/// Where a secret goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum Place {
    Header(String),
    JsonField(String),
    FormField(String),
    BasicAuth(String),
}

impl Place {
    /// The place in words.
    pub fn words(&self) -> String {
        match self {
            Self::Header(name) => format!("header `{}`", name.escape_debug()),
            Self::JsonField(pointer) => format!("JSON field `{}`", pointer.escape_debug()),
            Self::FormField(name) => format!("form field `{}`", name.escape_debug()),
            Self::BasicAuth(user) => format!("password of `{}`", user.escape_debug()),
        }
    }

    /// The header it takes for itself.
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            Self::BasicAuth(_) => Some(AUTHORIZATION),
            Self::JsonField(_) | Self::FormField(_) => None,
        }
    }

    fn text(&self) -> &str {
        let (Self::Header(text) | Self::JsonField(text) | Self::FormField(text) | Self::BasicAuth(text)) =
            self;
        text
    }
}

/// Whether one secret, with what stands before it, can go to `place`.
pub fn check_place(place: &Place, prefix: &str) -> Result<(), Unfit> {
    if place.text().len() > MAX_PLACE_BYTES || prefix.len() > MAX_PLACE_BYTES {
        let message = format!("the place or the prefix of a secret has more than {MAX_PLACE_BYTES} bytes");
        return Err(Unfit::new(message, "shorten it"));
    }
    if let Some(name) = place.header() {
        check_header(name)?;
    }
    match place {
        Place::Header(_) if prefix.contains(['\r', '\n']) => Err(Unfit::new(
            "the prefix of a secret in a header contains a line break",
            "write it on one line, for example `\"Bearer \"`",
        )),
        Place::JsonField(pointer) if !pointer.starts_with('/') => {
            let message = format!("`{}` is not a JSON pointer", pointer.escape_debug());
            Err(Unfit::new(message, "a pointer begins with `/`, for example `/auth/password`"))
        }
        Place::FormField(name) if name.is_empty() => {
            Err(Unfit::new("the name of a form field is empty", "write its name"))
        }
        Place::BasicAuth(user) if user.contains(':') || user.chars().any(char::is_control) => {
            let message = format!("`{}` is not the name of a user", user.escape_debug());
            Err(Unfit::new(message, "a name contains no colon; the password is the secret alone"))
        }
        Place::BasicAuth(_) if !prefix.is_empty() => {
            Err(Unfit::new("a password of `basic_auth` has no prefix", "leave out `prefix`"))
        }
        _ => Ok(()),
    }
}

/// Whether these places and these plain headers can be in one request.
pub fn check_together(places: &[&Place], headers: &[&str]) -> Result<(), Unfit> {
    for (index, place) in places.iter().enumerate() {
        let given = |name: &&str| headers.iter().any(|header| header.eq_ignore_ascii_case(name));
        if let Some(name) = place.header().filter(given) {
            let message = format!("header `{name}` is given in plain and as a secret");
            return Err(Unfit::new(message, "remove it from `headers`"));
        }
        let same = |other: &&Place| {
            let both = place.header().zip(other.header());
            *other == *place || both.is_some_and(|(one, other)| one.eq_ignore_ascii_case(other))
        };
        if places[..index].iter().any(same) {
            let message = format!("two secrets are given for one place, {}", place.words());
            return Err(Unfit::new(message, "remove one of them"));
        }
    }
    Ok(())
}

/// Whether secrets can go to these places of this body.
pub fn check_body(places: &[&Place], body: Option<&str>) -> Result<(), Unfit> {
    let json = places.iter().any(|place| matches!(place, Place::JsonField(_)));
    let form = places.iter().any(|place| matches!(place, Place::FormField(_)));
    let read = body.map(serde_json::from_str::<Value>);
    let document = matches!(&read, Some(Ok(Value::Object(_) | Value::Array(_))));
    if form && (json || document) {
        return Err(Unfit::new(
            "a body is either JSON or a form",
            "use `json_field` alone or `form_field` alone",
        ));
    }
    if json && !matches!(read, Some(Ok(_))) {
        let message = "a secret goes into a field of a JSON body, and the body is not JSON";
        return Err(Unfit::new(message, "write the body under `json`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        Place, check_body, check_header, check_header_value, check_place, check_together, check_url,
    };

    #[test]
    fn urls() {
        for url in ["http://a", "https://a.b:8443/x?y=z", "http://[::1]:80/", "HTTP://a/%20"] {
            assert_eq!(check_url(url), Ok(()), "{url}");
        }
        for url in
            ["", "a", "/x", "ftp://a", "http://", "http://a b", "http://a\\b", "http://u:p@a/", "http://a:0/"]
        {
            assert!(check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn headers() {
        for name in ["accept", "X-Request-Id", "authorization"] {
            assert_eq!(check_header(name), Ok(()));
        }
        for name in ["", "a b", "a:", "ä", "a\n", "Host", "content-LENGTH", "te"] {
            assert!(check_header(name).is_err(), "{name}");
        }
        let host = check_header("Host").unwrap_err();
        assert!(host.hint.is_some_and(|hint| hint.contains("URL")) && host.message.contains("another site"));
        assert!(check_header_value("a\tb ä").is_ok() && check_header_value("a\nb").is_err());
    }

    #[test]
    fn places() {
        let header = |name: &str| Place::Header(name.to_owned());
        let basic = Place::BasicAuth("ann".to_owned());
        assert_eq!(check_place(&header("x-token"), "Bearer "), Ok(()));
        for (place, prefix) in [
            (header("host"), ""),
            (header("x-token"), "a\nb"),
            (Place::JsonField("password".to_owned()), ""),
            (Place::FormField(String::new()), ""),
            (Place::BasicAuth("a:b".to_owned()), ""),
            (basic.clone(), "Bearer "),
            (header(&"x".repeat(2_000)), ""),
        ] {
            assert!(check_place(&place, prefix).is_err(), "{place:?}");
        }
        assert!(check_together(&[&basic], &["Authorization"]).is_err());
        assert!(check_together(&[&basic, &header("AUTHORIZATION")], &[]).is_err());
        assert!(check_together(&[&basic, &header("x-token")], &["accept"]).is_ok());
        let (json, form) = (Place::JsonField("/a".to_owned()), Place::FormField("a".to_owned()));
        assert!(check_body(&[&json], Some("{}")).is_ok() && check_body(&[&form], Some("a=b")).is_ok());
        for (places, body) in [
            (vec![&json], None),
            (vec![&json], Some("a=b")),
            (vec![&form], Some("{}")),
            (vec![&json, &form], Some("{}")),
        ] {
            assert!(check_body(&places, body).is_err(), "{places:?} {body:?}");
        }
    }
}
