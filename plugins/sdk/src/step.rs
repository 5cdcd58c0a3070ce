//! A step type: its name, its words, its schemas, and the function that performs it.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{Context, Error, ErrorKind, Host};

/// One step type of a plugin, for example `restart` of the plugin `service`.
pub struct Step<H> {
    name: &'static str,
    summary: &'static str,
    needs: &'static [&'static str],
    input: fn() -> Schema,
    output: fn() -> Schema,
    run: Box<Perform<H>>,
}

type Perform<H> = dyn Fn(&H, &Context, &str) -> Result<String, Error>;

impl<H: Host + 'static> Step<H> {
    /// A step type from a plain function. `needs` are the grant actions without which it cannot work, for example
    /// `containers.restart`; what it needs only sometimes is left out and is denied when the time comes.
    pub fn new<I, O>(
        name: &'static str,
        summary: &'static str,
        needs: &'static [&'static str],
        run: fn(&H, &Context, &I) -> Result<O, Error>,
    ) -> Self
    where
        I: DeserializeOwned + JsonSchema + 'static,
        O: Serialize + JsonSchema + 'static,
    {
        Self {
            name,
            summary,
            needs,
            input: schema::<I>,
            output: schema::<O>,
            run: Box::new(move |host, context, input| {
                let input = serde_json::from_str(input).map_err(|e| refuse("input", &e))?;
                let output = run(host, context, &input)?;
                serde_json::to_string(&output).map_err(|e| refuse("output", &e))
            }),
        }
    }

    /// The part after the dot in `uses: service.restart`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// One sentence.
    pub fn summary(&self) -> &'static str {
        self.summary
    }

    /// Grant actions it needs.
    pub fn needs(&self) -> &'static [&'static str] {
        self.needs
    }

    /// JSON Schema of `with`.
    pub fn input(&self) -> Value {
        (self.input)().to_value()
    }

    /// JSON Schema of the output.
    pub fn output(&self) -> Value {
        (self.output)().to_value()
    }

    /// Everything a catalogue needs to know of it.
    pub fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "summary": self.summary,
            "input": self.input(),
            "output": self.output(),
            "needs": self.needs,
        })
    }

    /// Performs it on JSON text.
    pub fn perform(&self, host: &H, context: &Context, input: &str) -> Result<String, Error> {
        (self.run)(host, context, input)
    }
}

/// Schemas stand alone, without references, so that an editor and a person can read them where they are.
fn schema<T: JsonSchema>() -> Schema {
    let mut schema = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .into_generator()
        .into_root_schema_for::<T>();
    schema.remove("title");
    schema
}

fn refuse(what: &str, error: &serde_json::Error) -> Error {
    Error {
        kind: if what == "input" { ErrorKind::Invalid } else { ErrorKind::Internal },
        code: format!("step.{what}"),
        message: format!("the {what} of the step does not fit: {error}"),
        retry_after_ms: None,
    }
}
