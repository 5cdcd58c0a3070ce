//! What a person is asked, and who may answer. Part of the on-disk format.

use std::fmt::Display;

use serde::{Deserialize, Serialize};

use words::ids::StepPath;
use words::text::for_shell;

/// The step type by which a person does something outside.
pub const MANUAL: &str = "manual.step";

/// What a person is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The words.
    pub text: String,
    /// Login names that may answer; empty: anyone.
    pub who: Vec<String>,
    /// The person who asked for the run, who may not answer although `who` may name them. None where the runbook says
    /// `self: true`, where anyone may answer, and in runs that an older version accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_by: Option<String>,
    /// Whether evidence must come with the answer.
    pub evidence: bool,
    /// When it is too late, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
}

/// What a person says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Approved, done, or confirmed; else rejected.
    pub yes: bool,
    /// Words or evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The login name.
    pub by: String,
}

/// The commands that answer a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// Lets the run go on.
    pub yes: String,
    /// Does not; none where `yes` tells that something is done.
    pub no: Option<String>,
}

/// Of a step of this type; it is named where several ask.
pub fn commands(run: impl Display, step: Option<&StepPath>, uses: &str) -> Commands {
    let step = step.map(|path| format!(" --step {}", for_shell(&path.to_string()))).unwrap_or_default();
    if uses == MANUAL {
        return Commands { yes: format!("runbook runs answer {run}{step} --done"), no: None };
    }
    Commands {
        yes: format!("runbook runs approve {run}{step}"),
        no: Some(format!("runbook runs reject {run}{step}")),
    }
}

impl Question {
    /// The people who may answer; none: anyone. Empty: nobody.
    pub fn answerers(&self) -> Option<Vec<&str>> {
        if self.who.is_empty() {
            return None;
        }
        let may = self.who.iter().map(String::as_str).filter(|name| self.not_by.as_deref() != Some(*name));
        Some(may.collect())
    }

    /// Whether this person may answer.
    pub fn may_answer(&self, by: &str) -> bool {
        self.answerers().is_none_or(|may| may.contains(&by))
    }

    /// Who may answer, in words: `anyone`, `alice or bob`, or why nobody.
    pub fn answerers_in_words(&self) -> String {
        match (self.answerers(), &self.not_by) {
            (None, _) => "anyone".to_owned(),
            (Some(may), Some(asker)) if may.is_empty() => {
                format!("nobody: it asks only {asker}, who asked for the run")
            }
            (Some(may), Some(asker)) if self.who.contains(asker) => {
                format!("{}, not {asker}, who asked for the run", may.join(" or "))
            }
            (Some(may), _) => may.join(" or "),
        }
    }

    /// Why this person may not answer; none if they may.
    pub fn refusal(&self, by: &str) -> Option<String> {
        if self.may_answer(by) {
            return None;
        }
        Some(match self.answerers() {
            Some(may) if may.is_empty() => format!(
                "nobody may answer: it asks only `{by}`, who asked for the run; name somebody else in `who`, or write `self: true`"
            ),
            Some(may) if self.not_by.as_deref() == Some(by) => {
                format!("`{by}` asked for the run, so somebody else must answer: {}", may.join(" or "))
            }
            may => format!("{} must answer, not `{by}`", may.unwrap_or_default().join(" or ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(who: &[&str], not_by: Option<&str>) -> Question {
        let who = who.iter().map(|name| (*name).to_owned()).collect();
        Question { who, not_by: not_by.map(str::to_owned), ..Question::default() }
    }

    #[test]
    fn who_asked_does_not_answer() {
        let four_eyes = question(&["alice", "bob"], Some("alice"));
        assert_eq!(["alice", "bob", "eve"].map(|name| four_eyes.may_answer(name)), [false, true, false]);
        assert_eq!(four_eyes.answerers_in_words(), "bob, not alice, who asked for the run");
        let refusal = |name| four_eyes.refusal(name).unwrap_or_default();
        assert_eq!(refusal("alice"), "`alice` asked for the run, so somebody else must answer: bob");
        assert_eq!(refusal("eve"), "bob must answer, not `eve`");
        assert_eq!(refusal("bob"), "");
        let alone = question(&["alice"], Some("alice"));
        assert_eq!(alone.answerers(), Some(Vec::new()));
        assert!(alone.refusal("alice").unwrap_or_default().contains("`self: true`"));
        assert!(!alone.may_answer("bob"));
    }

    #[test]
    fn without_a_name_in_the_way_the_old_rule_holds() {
        let old: Question =
            serde_json::from_str(r#"{ "text": "?", "who": ["alice"], "evidence": false }"#).unwrap();
        assert!(old.may_answer("alice") && !old.may_answer("bob"));
        assert_eq!(serde_json::to_value(&old).unwrap().as_object().unwrap().len(), 3, "written as it was");
        assert!(question(&[], None).may_answer("anybody"));
        assert_eq!(question(&[], None).answerers_in_words(), "anyone");
    }
}
