//! The capability card: what a run may do at most, to what, how much at once. The same for grants as written and as
//! evaluated.

use crate::cli::output::paint::Paint;
use executor::request::Card;
use model::grant::{ContainerAction, ContainerGrant, GrantSet, Selector, StateAction};
use model::runbook::{Part, Risk, Runbook, Template};
use model::secret_grant::{SecretAction, SecretGrant};

/// Before every line.
const INDENT: &str = "  ";
/// A budget holds back what takes a container down, and a command does what it wants.
const AFTERWARDS: &str = " (commands are not held back: what they took down is checked after each of them)";
/// What a grant to reveal lets a plugin do.
const SEES: &str = "SEE THE PLAIN TEXT";

/// The word of a risk.
pub(crate) fn risk(risk: Risk) -> &'static str {
    match risk {
        Risk::Low => "low",
        Risk::Medium => "medium",
        Risk::High => "high",
    }
}

/// A card of a plan or a run.
pub(crate) fn card(card: &Card, paint: Paint) -> String {
    let mut lines = grants(&card.grants, &String::clone, &u32::to_string);
    if !card.locks.is_empty() {
        lines.push(("locks", card.locks.join(", ")));
    }
    lines.push(("risk", risk(card.risk).to_owned()));
    block(&lines, paint)
}

/// The card of a runbook that is not asked for yet: expressions are shown as written.
pub(crate) fn written(runbook: &Runbook, paint: Paint) -> String {
    let mut lines = grants(&runbook.grants, &template, &template);
    lines.push(("risk", risk(runbook.risk).to_owned()));
    block(&lines, paint)
}

/// The same as a list of sentences.
pub(crate) fn may(runbook: &Runbook) -> Vec<String> {
    grants(&runbook.grants, &template, &template).into_iter().map(|(_, line)| line).collect()
}

fn block(lines: &[(&str, String)], paint: Paint) -> String {
    let mut text = String::new();
    let mut before = "";
    for (heading, line) in lines {
        let shown = if *heading == before { "" } else { heading };
        before = heading;
        let line = crate::error::printable(line);
        let line = if line.starts_with(SEES) { paint.red(&line) } else { line.clone() };
        text.push_str(&format!("{INDENT}{} {line}\n", paint.dim(&format!("{shown:<6}"))));
    }
    text
}

fn grants<T, N>(
    set: &GrantSet<T, N>,
    text: &impl Fn(&T) -> String,
    number: &impl Fn(&N) -> String,
) -> Vec<(&'static str, String)> {
    let mut lines: Vec<_> =
        set.containers.iter().map(|grant| ("may", containers(grant, text, number))).collect();
    lines.extend(set.http.iter().map(|pattern| ("may", format!("ask {}", text(pattern)))));
    lines.extend(set.state.iter().map(|grant| {
        let words: Vec<_> = grant.actions.iter().map(|action| state_word(*action)).collect();
        ("may", format!("{} state in bucket {}", words.join(" and "), text(&grant.bucket)))
    }));
    lines.extend(set.secrets.iter().map(|grant| ("may", secrets(grant, text))));
    if lines.is_empty() {
        lines.push(("may", "do nothing outside itself".to_owned()));
    }
    lines
}

fn containers<T, N>(
    grant: &ContainerGrant<T, N>,
    text: &impl Fn(&T) -> String,
    number: &impl Fn(&N) -> String,
) -> String {
    let words: Vec<_> = grant.actions.iter().map(|action| action.word()).collect();
    let whom = match &grant.select {
        Selector::Service(service) => format!("the containers of {}", text(service)),
        Selector::Project(project) => format!("every container of the project {}", text(project)),
        Selector::Label(label) => format!("containers labelled {}", text(label)),
    };
    let mut line = match &grant.dependent_of {
        Some(owner) => {
            format!("also {} {owner}'s dependents: {}", words.join(", "), whom_alone(&grant.select, text))
        }
        None => format!("{} {whom}", words.join(", ")),
    };
    if grant.actions.iter().any(|action| action.writes()) {
        let most = grant.max_unavailable.as_ref().map_or_else(|| "1".to_owned(), number);
        line.push_str(&format!("; at most {most} down at once"));
        if let Some(least) = &grant.min_healthy {
            line.push_str(&format!("; at least {} healthy", number(least)));
        }
        if grant.actions.contains(&ContainerAction::Exec) {
            line.push_str(AFTERWARDS);
        }
    }
    line
}

fn whom_alone<T>(select: &Selector<T>, text: &impl Fn(&T) -> String) -> String {
    match select {
        Selector::Service(whom) | Selector::Project(whom) | Selector::Label(whom) => text(whom),
    }
}

/// Loud where a plugin may see a value.
fn secrets<T>(grant: &SecretGrant<T>, text: &impl Fn(&T) -> String) -> String {
    let names: Vec<_> = grant.names.iter().map(text).collect();
    let whom = format!("secret{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "));
    if grant.gives(SecretAction::Reveal) {
        format!("{SEES} of the {whom}")
    } else {
        format!("use the {whom} without seeing {}", if names.len() == 1 { "it" } else { "them" })
    }
}

fn state_word(action: StateAction) -> &'static str {
    match action {
        StateAction::Read => "read",
        StateAction::Write => "write",
    }
}

/// A template as it stands in the runbook.
pub(crate) fn template(template: &Template) -> String {
    match template {
        Template::Value(serde_json::Value::String(text)) => text.clone(),
        Template::Value(value) => value.to_string(),
        Template::Whole(expression) => format!("${{{{ {} }}}}", expression.text()),
        Template::Text(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Expression(expression) => format!("${{{{ {} }}}}", expression.text()),
            })
            .collect(),
        Template::List(items) => {
            let items: Vec<_> = items.iter().map(self::template).collect();
            format!("[{}]", items.join(", "))
        }
        Template::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(name, value)| format!("{name}: {}", self::template(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use model::grant::StateGrant;

    #[test]
    fn a_card_says_what_how_much_and_how_risky() {
        let grants = GrantSet {
            containers: vec![ContainerGrant {
                select: Selector::Service("shop/web".to_owned()),
                actions: vec![ContainerAction::Read, ContainerAction::Restart],
                max_unavailable: Some(2),
                min_healthy: Some(3),
                line: 9,
                lines: model::grant::GrantLines::default(),
                dependent_of: None,
            }],
            http: vec!["http://*:8080/healthz".to_owned()],
            state: vec![StateGrant {
                bucket: "deploys".to_owned(),
                actions: vec![StateAction::Read, StateAction::Write],
                line: 12,
            }],
            secrets: vec![
                SecretGrant {
                    names: vec!["api/token".to_owned(), "db/*".to_owned()],
                    actions: vec![SecretAction::Use],
                    line: 13,
                },
                SecretGrant {
                    names: vec!["mail/password".to_owned()],
                    actions: vec![SecretAction::Use, SecretAction::Reveal],
                    line: 14,
                },
            ],
            line: 8,
            http_line: 0,
        };
        let told = card(
            &Card { risk: Risk::Medium, grants, locks: vec!["local/shop/web".to_owned()] },
            Paint(false),
        );
        expect![[r"
            card
              may    read, restart the containers of shop/web; at most 2 down at once; at least 3 healthy
                     ask http://*:8080/healthz
                     read and write state in bucket deploys
                     use the secrets api/token, db/* without seeing them
                     SEE THE PLAIN TEXT of the secret mail/password
              locks  local/shop/web
              risk   medium
        "]]
        .assert_eq(&format!("card\n{told}"));
    }

    #[test]
    fn no_grant_is_said_too() {
        let told =
            card(&Card { risk: Risk::Low, grants: GrantSet::default(), locks: Vec::new() }, Paint(false));
        assert!(told.contains("may    do nothing outside itself"), "{told}");
    }
}
