//! How the engine's own shapes look to people: plans, cards, runs. Pure: makes text, writes none.

pub(crate) mod card;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod story;
pub(crate) mod tree;
pub(crate) mod value;
