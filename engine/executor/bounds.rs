//! How much people may give: to the command line and over the socket alike, before anything is done with it.

use serde_json::Value;

use super::refusal::Refusal;
use super::request::{Command, LockWish, Request};
use audit::StateChange;
use host::limits::MAX_STATE_BYTES;
use run::event::Settlement;
use words::json;

/// The longest reason, answer or dedupe key, in bytes.
pub const MAX_WORDS_BYTES: usize = 16 * 1024;

/// A request for a run. Its parameters are held to the limits one by one when they are checked.
pub(super) fn request(request: &Request) -> Result<(), Refusal> {
    let taken = match &request.lock {
        LockWish::Take { reason } => Some(reason),
        LockWish::Wait | LockWish::Fail => None,
    };
    words("reason", request.reason.as_ref().or(taken))?;
    words("dedupe key", request.dedupe.as_ref())
}

/// What is asked of a run.
pub(super) fn command(command: &Command) -> Result<(), Refusal> {
    match command {
        Command::Cancel { reason, .. } | Command::Leave { reason } => words("reason", Some(reason)),
        Command::Answer { answer, .. } => words("answer", answer.text.as_ref()),
        Command::Settle(Settlement::Done(result)) => document("result", result),
        Command::Settle(_) | Command::Resume => Ok(()),
    }
}

/// Something that belongs to no run.
pub(super) fn fact(data: &Value, changes: &[StateChange]) -> Result<(), Refusal> {
    document("fact", data)?;
    for change in changes {
        let StateChange::Set { value, .. } = change else { continue };
        document("value", value)?;
        let bytes = value.to_string().len();
        if bytes > MAX_STATE_BYTES {
            return Err(refused(format!("a value has at most {MAX_STATE_BYTES} bytes, this one {bytes}")));
        }
    }
    Ok(())
}

/// What a person says about an action of the whole engine.
pub(super) fn words<'t>(what: &str, text: impl Into<Option<&'t String>>) -> Result<(), Refusal> {
    match text.into().map(String::len).filter(|bytes| *bytes > MAX_WORDS_BYTES) {
        Some(bytes) => {
            Err(refused(format!("the {what} has {bytes} bytes; at most {MAX_WORDS_BYTES} are allowed")))
        }
        None => Ok(()),
    }
}

fn document(what: &str, value: &Value) -> Result<(), Refusal> {
    json::check(value).map_err(|excess| refused(format!("the {what} is too large: {excess}")))
}

fn refused(why: String) -> Refusal {
    Refusal::Input(vec![why])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!([inner]))
    }

    fn set(value: Value) -> [StateChange; 1] {
        [StateChange::Set { bucket: "b".to_owned(), key: "k".to_owned(), value }]
    }

    #[test]
    fn what_is_as_deep_as_allowed_is_taken_and_what_is_deeper_is_not() {
        let settle = |depth| command(&Command::Settle(Settlement::Done(nested(depth))));
        assert!(settle(json::MAX_DEPTH).is_ok());
        assert!(settle(json::MAX_DEPTH + 1).unwrap_err().to_string().contains("64 levels"));
        assert!(fact(&Value::Null, &set(nested(json::MAX_DEPTH))).is_ok());
        assert!(fact(&Value::Null, &set(nested(json::MAX_DEPTH + 1))).is_err());
        assert!(fact(&nested(json::MAX_DEPTH + 1), &[]).is_err());
    }

    #[test]
    fn long_words_and_large_values_are_refused() {
        let reason = |bytes| Command::Leave { reason: "x".repeat(bytes) };
        assert!(command(&reason(MAX_WORDS_BYTES)).is_ok());
        assert!(command(&reason(MAX_WORDS_BYTES + 1)).is_err());
        let value = |bytes| set(Value::from("x".repeat(bytes - 2)));
        assert!(fact(&Value::Null, &value(MAX_STATE_BYTES)).is_ok());
        assert!(fact(&Value::Null, &value(MAX_STATE_BYTES + 1)).is_err());
    }
}
