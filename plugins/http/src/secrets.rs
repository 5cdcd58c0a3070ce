//! Secrets of a request: handles go in, the engine puts the texts where they belong.

use runbook_plugin::{
    Deserialize, Error, Host, JsonSchema, Request, Response, Secret, SecretName, SecretPart, SecretPlace,
};

/// A secret in the request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("allOf" = runbook_plugin::rule::one_of(&["header", "json_field", "form_field", "basic_auth"])))]
pub struct Part {
    /// The secret.
    pub name: SecretName,
    /// The header it is the value of.
    #[schemars(extend("format" = "header-name"))]
    pub header: Option<String>,
    /// The text of the JSON body that it becomes, as a JSON pointer: `/auth/password`.
    pub json_field: Option<String>,
    /// The field of a form that it becomes.
    pub form_field: Option<String>,
    /// The user whose password it is.
    pub basic_auth: Option<String>,
    /// What stands before it, for example `Bearer `.
    #[serde(default)]
    pub prefix: String,
}

impl Part {
    fn place(&self) -> Result<SecretPlace, Error> {
        let places: Vec<SecretPlace> = [
            self.header.clone().map(SecretPlace::Header),
            self.json_field.clone().map(SecretPlace::JsonField),
            self.form_field.clone().map(SecretPlace::FormField),
            self.basic_auth.clone().map(SecretPlace::BasicAuth),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [place] = places.as_slice() else {
            let words = format!(
                "secret `{}` goes to one place: give one of `header`, `json_field`, `form_field` and `basic_auth`",
                self.name
            );
            return Err(Error::invalid("http.secret-place", words));
        };
        Ok(place.clone())
    }
}

pub(crate) fn send(host: &impl Host, request: &mut Request, parts: &[Part]) -> Result<Response, Error> {
    let places = parts.iter().map(Part::place).collect::<Result<Vec<_>, _>>()?;
    let secrets = parts.iter().map(|part| host.secret(&part.name.0)).collect::<Result<Vec<Secret>, _>>()?;
    begin_body(request, &places);
    let put: Vec<SecretPart<'_>> = parts
        .iter()
        .zip(places)
        .zip(&secrets)
        .map(|((part, place), secret)| SecretPart { secret, place, prefix: part.prefix.clone() })
        .collect();
    host.send(request, &put)
}

/// A body of nothing but secrets need not be written.
fn begin_body(request: &mut Request, places: &[SecretPlace]) {
    let form = places.iter().any(|place| matches!(place, SecretPlace::FormField(_)));
    let json = places.iter().any(|place| matches!(place, SecretPlace::JsonField(_)));
    let (kind, empty) = match (form, json) {
        (true, _) => ("application/x-www-form-urlencoded", ""),
        (false, true) => ("application/json", "{}"),
        (false, false) => return,
    };
    if !request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        request.headers.push(("content-type".to_owned(), kind.to_owned()));
    }
    request.body.get_or_insert_with(|| empty.to_owned());
}

#[cfg(test)]
mod tests {
    use runbook_plugin::ErrorKind;
    use runbook_plugin::mock::World;

    use crate::{Input, request};

    fn input(more: &str) -> Input {
        let text = format!(r#"{{ "url": "http://api/things", "method": "POST", "secrets": [{more}] }}"#);
        serde_json::from_str(&text).expect("a good input")
    }

    #[test]
    fn each_goes_where_it_is_told() {
        let world = World::new();
        world.answer_http("http://api/things", 200, "");
        world.keep_secret("api/token", "hunter2");
        let parts = r#"{ "name": "api/token", "header": "authorization", "prefix": "Bearer " },
            { "name": "api/token", "json_field": "/password" }"#;
        request(&world, &world.context(), &input(parts)).expect("it answers");
        let places: Vec<_> = world.put_in().into_iter().map(|put| put.place).collect();
        assert_eq!(places, [r#"header authorization "Bearer ""#, r#"json-field /password """#]);
        let sent = world.sent().remove(0);
        assert_eq!(sent.body.as_deref(), Some("{}"));
        assert_eq!(sent.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        assert!(!format!("{sent:?}").contains("hunter2"));
    }

    #[test]
    fn a_form_needs_no_body() {
        let world = World::new();
        world.answer_http("http://api/things", 200, "");
        world.keep_secret("db", "x");
        request(&world, &world.context(), &input(r#"{ "name": "db", "form_field": "password" }"#))
            .expect("it answers");
        let sent = world.sent().remove(0);
        assert_eq!((sent.body.as_deref(), sent.headers.len()), (Some(""), 1));
    }

    #[test]
    fn one_place_and_one_that_exists() {
        let world = World::new();
        for part in [r#"{ "name": "db" }"#, r#"{ "name": "db", "header": "x", "basic_auth": "me" }"#] {
            let error = request(&world, &world.context(), &input(part)).expect_err("unclear");
            assert_eq!(error.code, "http.secret-place");
        }
        let part = r#"{ "name": "db", "header": "x" }"#;
        let error = request(&world, &world.context(), &input(part)).expect_err("unknown");
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(world.sent().is_empty());
    }
}
