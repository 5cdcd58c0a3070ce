//! Which step surely ends before which: the `needs` of steps as a graph.

use words::ids::{Section, StepId};

/// Steps by position, those of `steps` first, then those of `finally`.
#[derive(Debug, Default)]
pub(super) struct Order {
    steps: Vec<Placed>,
    /// For each position, the positions that have ended before it.
    before: Vec<Vec<bool>>,
}

#[derive(Debug)]
struct Placed {
    id: StepId,
    section: Section,
    needs: Vec<usize>,
}

impl Order {
    /// The graph of these steps: section, id and the ids each one needs. Needs that do not exist are left out.
    pub(super) fn new<'s>(steps: impl Iterator<Item = (Section, &'s StepId, &'s [StepId])> + Clone) -> Self {
        let ids: Vec<&StepId> = steps.clone().map(|(_, id, _)| id).collect();
        let placed: Vec<Placed> = steps
            .map(|(section, id, needs)| Placed {
                id: id.clone(),
                section,
                needs: needs.iter().filter_map(|need| ids.iter().position(|id| *id == need)).collect(),
            })
            .collect();
        let before = (0..placed.len()).map(|start| ancestors(&placed, start)).collect();
        Self { steps: placed, before }
    }

    pub(super) fn position(&self, id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.id.as_str() == id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.id.as_str())
    }

    /// Whether the step at `earlier` has surely ended when the one at `later` begins.
    pub(super) fn is_before(&self, earlier: usize, later: usize) -> bool {
        self.before[later][earlier]
    }

    /// The steps of the first circle there is, in the order of their needs.
    pub(super) fn circle(&self) -> Option<Vec<usize>> {
        let start = (0..self.steps.len()).find(|step| self.before[*step][*step])?;
        let mut circle = vec![start];
        let mut at = start;
        loop {
            // Some need of a step in a circle leads back to the start.
            let next =
                self.steps[at].needs.iter().copied().find(|need| *need == start || self.before[*need][start]);
            match next {
                Some(next) if next == start || circle.contains(&next) => return Some(circle),
                Some(next) => circle.push(next),
                None => return Some(circle),
            }
            at = *circle.last()?;
        }
    }
}

fn ancestors(steps: &[Placed], start: usize) -> Vec<bool> {
    let mut seen = vec![false; steps.len()];
    let mut open = steps[start].needs.clone();
    if steps[start].section == Section::Finally {
        // Whatever is under `steps` has ended, in one way or another.
        for (position, step) in steps.iter().enumerate() {
            seen[position] = step.section == Section::Steps;
        }
    }
    while let Some(step) = open.pop() {
        if !std::mem::replace(&mut seen[step], true) {
            open.extend(&steps[step].needs);
        }
    }
    seen
}
