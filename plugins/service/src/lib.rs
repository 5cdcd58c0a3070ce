//! The plugin `service`: what is done to all replicas of a service.
//!
//! It decides in which order and how far; the engine holds the budget of how many may be down, whatever happens here.

mod dependents;
mod order;
mod pause;
mod power;
mod recreate;
mod replicas;
mod resize;
mod restart;
mod scale;
mod signal;
mod status;
mod wait;

use runbook_plugin::{Host, Step};

/// What this plugin performs.
pub fn steps<H: Host + 'static>() -> Vec<Step<H>> {
    let files = [
        restart::steps(),
        power::steps(),
        pause::steps(),
        signal::steps(),
        recreate::steps(),
        scale::steps(),
        resize::steps(),
        status::steps(),
        order::steps(),
    ];
    files.into_iter().flatten().collect()
}

runbook_plugin::export!(steps);
