//! `service.pause` and `service.unpause`.

use runbook_plugin::{
    Container, Context, Deserialize, Duration, Error, Host, JsonSchema, Serialize, State, Step,
};

use crate::power::name_of;
use crate::replicas::{refuse_auto_remove, standing};
use crate::restart::{count, two_minutes};
use crate::wait::Patience;

pub(crate) fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    vec![
        Step::new(
            "pause",
            "Freeze every running replica of a service, those first that are sick.",
            &["containers.read", "containers.pause"],
            pause,
        ),
        Step::new(
            "unpause",
            "Let the paused replicas of a service go on, and wait until they are healthy.",
            &["containers.read", "containers.unpause"],
            unpause,
        ),
    ]
}

/// The input of `service.pause`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pause {
    /// `project/service`, the service alone where it is unique, or the name of one container.
    service: String,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Paused {
    /// `project/service`
    service: String,
    /// Replicas that were paused.
    paused: Vec<String>,
    /// Replicas that did not run, or were paused already.
    skipped: Vec<String>,
    /// All replicas.
    replicas: usize,
}

/// The input of `service.unpause`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Unpause {
    /// `project/service`, the service alone where it is unique, or the name of one container.
    service: String,
    /// How long they may take to become healthy.
    #[serde(default = "two_minutes")]
    wait: Duration,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Unpaused {
    /// `project/service`
    service: String,
    /// Replicas that go on again.
    unpaused: Vec<String>,
    /// All replicas.
    replicas: usize,
}

fn pause(host: &impl Host, _: &Context, input: &Pause) -> Result<Paused, Error> {
    let replicas = host.service(&input.service)?;
    let now_ms = host.now_ms();
    let (mut running, rest): (Vec<&Container>, Vec<&Container>) =
        replicas.iter().partition(|c| c.state == State::Running);
    refuse_auto_remove(running.iter().copied())?;
    running.sort_by_key(|c| (standing(c, now_ms), std::cmp::Reverse(c.replica)));
    let mut paused = Vec::new();
    for container in &running {
        host.pause(&container.id)?;
        paused.push(container.name.clone());
        host.progress(count(paused.len()), count(running.len()), &container.name);
    }
    Ok(Paused {
        service: name_of(&replicas, &input.service),
        paused,
        skipped: rest.iter().map(|c| c.name.clone()).collect(),
        replicas: replicas.len(),
    })
}

fn unpause(host: &impl Host, _: &Context, input: &Unpause) -> Result<Unpaused, Error> {
    let replicas = host.service(&input.service)?;
    let paused: Vec<&Container> = replicas.iter().filter(|c| c.state == State::Paused).collect();
    for container in &paused {
        host.unpause(&container.id)?;
    }
    let patience = Patience { healthy_for: Duration::default(), wait: input.wait };
    let deadline_ms = patience.deadline_ms(host);
    for (index, container) in paused.iter().enumerate() {
        let came = patience.wait_for(host, container, deadline_ms);
        came.map_err(|error| error.because(format!("`{}` goes on and is not healthy", container.name)))?;
        host.progress(count(index + 1), count(paused.len()), &container.name);
    }
    Ok(Unpaused {
        service: name_of(&replicas, &input.service),
        unpaused: paused.iter().map(|c| c.name.clone()).collect(),
        replicas: replicas.len(),
    })
}

#[cfg(test)]
mod tests {
    use runbook_plugin::State;
    use runbook_plugin::mock::World;

    use super::{Pause, Unpause, pause, unpause};

    fn pause_input() -> Pause {
        serde_json::from_str(r#"{ "service": "shop/web" }"#).expect("a good input")
    }

    fn unpause_input() -> Unpause {
        serde_json::from_str(r#"{ "service": "shop/web" }"#).expect("a good input")
    }

    #[test]
    fn frozen_and_on_again() {
        let world = World::new().with_service("shop/web", 3);
        world.change("shop-web-1", |c| c.state = State::Exited);
        let output = pause(&world, &world.context(), &pause_input()).expect("it works");
        assert_eq!(output.paused, ["shop-web-3", "shop-web-2"]);
        assert_eq!(output.skipped, ["shop-web-1"]);
        assert_eq!(world.look("shop-web-2").state, State::Paused);
        let again = pause(&world, &world.context(), &pause_input()).expect("nothing to do");
        assert!(again.paused.is_empty());
        let output = unpause(&world, &world.context(), &unpause_input()).expect("it works");
        assert_eq!(output.unpaused, ["shop-web-2", "shop-web-3"]);
        assert!(world.look("shop-web-3").available());
        assert_eq!(world.look("shop-web-1").state, State::Exited, "what was down is left alone");
    }
}
