//! The crash sweep: ends the real engine at every append, every sync and every request to Docker, lets another one finish,
//! and judges by what the daemon itself told a separate process, never by the engine's word.
//!
//! A [`Shape`](shape::Shape) is a kind of run that takes part; what it does when nobody disturbs it is measured first, and
//! every disturbed run must have done exactly that.

pub(crate) mod case;
pub(crate) mod cut;
pub(crate) mod effects;
pub(crate) mod lane;
pub(crate) mod post;
pub(crate) mod shape;
pub(crate) mod shapes;
pub(crate) mod tally;
