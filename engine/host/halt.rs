//! The halt switch of an engine: while it is on, nothing is announced that changes anything.

use std::sync::{Arc, Mutex};

use super::context::lock;

/// See the module; all clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct HaltSwitch(Arc<Mutex<Option<String>>>);

impl HaltSwitch {
    /// A switch that is as the audit log says: the reason if it is on.
    pub fn new(reason: Option<String>) -> Self {
        Self(Arc::new(Mutex::new(reason)))
    }

    /// Why it is on; none if it is off.
    pub fn reason(&self) -> Option<String> {
        lock(&self.0).clone()
    }

    /// Hands something over to the audit log unless the switch is on; else gives the reason. Nobody turns it meanwhile, so
    /// that the log holds what was handed over before the entry that tells of the halt.
    pub fn unless_on<T>(&self, hand_over: impl FnOnce() -> T) -> Result<T, String> {
        let reason = lock(&self.0);
        match &*reason {
            Some(reason) => Err(reason.clone()),
            None => Ok(hand_over()),
        }
    }

    /// Turns it, and hands the entry that tells of it over before anything else can be.
    pub fn turn<T>(&self, reason: Option<String>, hand_over: impl FnOnce() -> T) -> T {
        let mut switch = lock(&self.0);
        *switch = reason;
        hand_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_handed_over_once_it_is_on() {
        let switch = HaltSwitch::default();
        assert_eq!(switch.unless_on(|| 1), Ok(1));
        let log = switch.turn(Some("storage".to_owned()), || "told");
        assert_eq!((log, switch.reason().as_deref()), ("told", Some("storage")));
        assert_eq!(switch.clone().unless_on(|| unreachable!("it is on")), Err::<(), _>("storage".to_owned()));
        switch.turn(None, || ());
        assert_eq!(switch.unless_on(|| 1), Ok(1));
    }
}
