//! `service.signal`: a signal to the processes of a service.

use runbook_plugin::{Container, Context, Deserialize, Error, Host, JsonSchema, Serialize, State, Step};

use crate::power::name_of;
use crate::replicas::{refuse_auto_remove, standing};
use crate::restart::count;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![Step::new(
        "signal",
        "Send a signal to every running replica of a service, those first that are sick.",
        &["containers.read", "containers.kill"],
        signal,
    )]
}

/// The input of `service.signal`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Input {
    /// `project/service`, the service alone where it is unique, or the name of one container.
    service: String,
    /// The signal's name, for example `HUP`, `USR1` or `TERM`.
    #[schemars(regex(
        pattern = r"^(SIG)?(ABRT|ALRM|CHLD|CONT|HUP|INT|IO|KILL|PIPE|QUIT|STOP|TERM|TSTP|TTIN|TTOU|URG|USR1|USR2|WINCH)$"
    ))]
    signal: String,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// `project/service`
    service: String,
    /// Replicas that got the signal, in order.
    signalled: Vec<String>,
    /// Replicas that did not run, or are paused.
    skipped: Vec<String>,
    /// All replicas.
    replicas: usize,
}

fn signal(host: &impl Host, _: &Context, input: &Input) -> Result<Output, Error> {
    let replicas = host.service(&input.service)?;
    let now_ms = host.now_ms();
    let (mut running, rest): (Vec<&Container>, Vec<&Container>) =
        replicas.iter().partition(|c| c.state == State::Running);
    if running.is_empty() {
        let words = format!("no replica of `{}` runs: nobody would get the signal", input.service);
        return Err(Error::conflict("service.none-running", words));
    }
    refuse_auto_remove(running.iter().copied())?;
    running.sort_by_key(|c| standing(c, now_ms));
    let mut signalled = Vec::new();
    for container in &running {
        host.kill(&container.id, &input.signal)?;
        signalled.push(container.name.clone());
        host.progress(count(signalled.len()), count(running.len()), &container.name);
    }
    Ok(Output {
        service: name_of(&replicas, &input.service),
        signalled,
        skipped: rest.iter().map(|c| c.name.clone()).collect(),
        replicas: replicas.len(),
    })
}

#[cfg(test)]
mod tests {
    use runbook_plugin::mock::World;
    use runbook_plugin::{Health, State};

    use super::{Input, signal};

    fn input() -> Input {
        serde_json::from_str(r#"{ "service": "shop/web", "signal": "HUP" }"#).expect("a good input")
    }

    #[test]
    fn the_sick_get_it_first() {
        let world = World::new().with_service("shop/web", 4);
        world.change("shop-web-3", |c| c.health = Health::Unhealthy);
        world.change("shop-web-4", |c| c.state = State::Paused);
        let output = signal(&world, &world.context(), &input()).expect("it works");
        assert_eq!(output.signalled, ["shop-web-3", "shop-web-1", "shop-web-2"]);
        assert_eq!(output.skipped, ["shop-web-4"]);
        assert_eq!(world.writes()[0], "kill shop-web-3 HUP");
    }

    #[test]
    fn nobody_to_send_it_to() {
        let world = World::new().with_service("shop/web", 1);
        world.change("shop-web-1", |c| c.state = State::Exited);
        let error = signal(&world, &world.context(), &input()).expect_err("nothing runs");
        assert_eq!(error.code, "service.none-running");
    }
}
