//! The times during which a run could not go on by itself: no engine carried it, a person had left it, or a call was in
//! doubt. They do not count against its deadlines. Knows nothing of why.

/// Pauses that are over, and the one that is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pauses {
    over: Vec<(u64, u64)>,
    since_ms: Option<u64>,
}

impl Pauses {
    /// One begins, unless one is under way.
    pub(super) fn begin(&mut self, at_ms: u64) {
        self.since_ms.get_or_insert(at_ms);
    }

    /// The one under way ends.
    pub(super) fn end(&mut self, at_ms: u64) {
        if let Some(since_ms) = self.since_ms.take() {
            self.over.push((since_ms, at_ms.max(since_ms)));
        }
    }

    /// One that ends now and lasted so long, unless it lies in one that is under way.
    pub(super) fn missed(&mut self, at_ms: u64, missed_ms: u64) {
        if self.since_ms.is_none() {
            self.over.push((at_ms.saturating_sub(missed_ms), at_ms));
        }
    }

    /// How much of them lies after this time.
    pub(super) fn since(&self, ms: u64) -> u64 {
        let after = self.over.iter().map(|(from, to)| to.saturating_sub(*from.max(&ms)));
        after.fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::Pauses;

    #[test]
    fn only_what_lies_after_counts() {
        let mut pauses = Pauses::default();
        pauses.begin(10);
        pauses.begin(15);
        pauses.end(20);
        pauses.end(30);
        pauses.begin(40);
        pauses.end(45);
        assert_eq!(pauses.since(0), 15);
        assert_eq!(pauses.since(15), 10);
        assert_eq!(pauses.since(42), 3);
        assert_eq!(pauses.since(50), 0);
    }

    #[test]
    fn what_was_missed_is_a_pause_that_is_over() {
        let mut pauses = Pauses::default();
        pauses.missed(100, 30);
        assert_eq!((pauses.since(0), pauses.since(90)), (30, 10));
        pauses.begin(200);
        pauses.missed(300, 50);
        pauses.end(300);
        assert_eq!(pauses.since(150), 100, "it is not counted twice");
    }

    #[test]
    fn times_at_the_edge_are_survived() {
        let mut pauses = Pauses::default();
        for _ in 0..2 {
            pauses.begin(1);
            pauses.end(u64::MAX);
        }
        assert_eq!(pauses.since(0), u64::MAX);
    }
}
