//! What the sandbox calls: the exports of a component, in terms of its list of steps.

use crate::bindings::exports::runbook::step::step::StepType;
use crate::{Context, Error, Host, Imports, Step};

/// The answer to `describe`.
pub fn describe(steps: &[Step<Imports>]) -> Vec<StepType> {
    steps
        .iter()
        .map(|step| StepType {
            name: step.name().to_owned(),
            summary: step.summary().to_owned(),
            input: step.input().to_string(),
            output: step.output().to_string(),
            needs: step.needs().iter().map(|&need| need.to_owned()).collect(),
        })
        .collect()
}

/// The answer to `run`. A panic is told to people first, since the trap that follows does not carry its words.
pub fn run(steps: &[Step<Imports>], name: &str, context: &Context, input: &str) -> Result<String, Error> {
    std::panic::set_hook(Box::new(|panic| Imports.error(&format!("the plugin panicked: {panic}"))));
    let step = steps.iter().find(|step| step.name() == name);
    let step =
        step.ok_or_else(|| Error::not_found("step.unknown", format!("there is no step `{name}` here")))?;
    step.perform(&Imports, context, input)
}

/// Makes a component of a function `fn steps<H: Host>() -> Vec<Step<H>>`. Does nothing in a native build, where the
/// function itself is called.
#[macro_export]
macro_rules! export {
    ($steps:ident) => {
        #[cfg(target_arch = "wasm32")]
        mod component {
            use $crate::bindings::exports::runbook::step::step::{Guest, StepType};
            use $crate::{Context, Error, Imports};

            struct Component;

            impl Guest for Component {
                fn describe() -> Vec<StepType> {
                    $crate::guest::describe(&super::$steps::<Imports>())
                }

                fn run(step: String, context: Context, input: String) -> Result<String, Error> {
                    $crate::guest::run(&super::$steps::<Imports>(), &step, &context, &input)
                }
            }

            $crate::bindings::export!(Component with_types_in $crate::bindings);
        }
    };
}
