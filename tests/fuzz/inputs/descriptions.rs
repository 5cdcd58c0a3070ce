//! What a plugin says of itself: the schemas of its step types come from anybody.

use model::input::{Checker, is_open, template_problems};
use model::parse::step_types;
use model::runbook::Template;
use model::schema::schema;
use model::step_type::{Catalogue, PluginDescription};
use serde_json::{Value, json};

pub(super) fn feed(bytes: &[u8]) {
    let Ok(description) = serde_json::from_slice::<PluginDescription>(bytes) else { return };
    let mut catalogue = Catalogue::default();
    catalogue.add(description.clone());
    assert!(schema(&catalogue).is_object());
    assert!(step_types(&catalogue).len() >= description.steps.len());
    let template = Template::parse("x ${{ parameters.a }}", 1).expect("a template");
    for step in &description.steps {
        for schema in [&step.input, &step.output] {
            let checker = Checker::new(schema);
            for value in
                [Value::Null, json!({ "service": "shop/web", "wait": "2m", "count": -1 }), schema.clone()]
            {
                let problems = checker.problems(&value);
                assert_eq!(checker.check(&value).is_ok(), problems.is_empty());
            }
            template_problems(schema, &template);
            is_open(schema);
        }
    }
}
