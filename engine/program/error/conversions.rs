//! From each module's own error to what people are told.

use super::{Error, Kind};
use executor::library::LibraryError;
use executor::plugins::AddError;
use executor::{Aside, Refusal, emergency};
use model::trouble::Troubles;
use words::secret::{InvalidName, InvalidValue};

use words::effect::{Failure, FailureKind};

impl From<LibraryError> for Error {
    fn from(error: LibraryError) -> Self {
        let kind = match &error {
            LibraryError::Unknown { .. } => Kind::NotFound,
            _ => Kind::Invalid,
        };
        Self::new(kind, error.to_string()).maybe(error.hint())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Invalid => Kind::Invalid,
            FailureKind::NotFound => Kind::NotFound,
            FailureKind::AlreadyExists | FailureKind::Conflict => Kind::Conflict,
            // The daemon's own refusal; what a grant refuses is an outcome of a run.
            FailureKind::Denied
            | FailureKind::Exhausted
            | FailureKind::TimedOut
            | FailureKind::Unavailable
            | FailureKind::OutcomeUnknown => Kind::Environment,
            FailureKind::Cancelled => Kind::Interrupted,
            FailureKind::Internal => Kind::Internal,
        };
        let hint = match kind {
            Kind::Environment => Some("`runbook doctor` tells what is wrong with the container daemon"),
            Kind::NotFound => Some("`runbook service list` shows what there is"),
            Kind::Invalid if failure.code == "containers.ambiguous-service" => {
                Some("write PROJECT/SERVICE; `runbook service list` shows all")
            }
            _ => None,
        };
        Self::new(kind, failure.message).maybe(hint)
    }
}

impl From<docker::Error> for Error {
    fn from(error: docker::Error) -> Self {
        error.failure.into()
    }
}

impl From<audit::Error> for Error {
    fn from(error: audit::Error) -> Self {
        let kind = match error.kind() {
            audit::ErrorKind::BusyOrDamaged => Kind::Directory,
            audit::ErrorKind::Environment => Kind::Environment,
            audit::ErrorKind::Invalid => Kind::Invalid,
            audit::ErrorKind::Stale => Kind::Conflict,
        };
        Self::new(kind, error.to_string()).maybe(error.hint())
    }
}

impl From<secrets::Error> for Error {
    fn from(error: secrets::Error) -> Self {
        use secrets::ErrorKind as Of;
        let kind = match error.kind() {
            Of::NotFound => Kind::NotFound,
            Of::Invalid => Kind::Invalid,
            Of::Conflict => Kind::Conflict,
            Of::Locked | Of::TooOpen | Of::Io => Kind::Environment,
            Of::Damaged => Kind::Directory,
        };
        Self::new(kind, error.to_string()).maybe(error.way_out())
    }
}

impl From<InvalidValue> for Error {
    fn from(error: InvalidValue) -> Self {
        secrets::Error::from(error).into()
    }
}

impl From<InvalidName> for Error {
    fn from(error: InvalidName) -> Self {
        Self::usage(error.to_string()).hint("a name looks like `mail/password`")
    }
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Self {
        Self::invalid(error.to_string())
            .hint("a plugin is a WASM component made with the SDK: `runbook plugin new NAME`")
    }
}

impl From<AddError> for Error {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Plugin(error) => error.into(),
            AddError::Taken { .. } => Self::invalid(error.to_string()).hint("choose another with --name"),
            AddError::Io { .. } => Self::environment(error.to_string()),
        }
    }
}

impl From<emergency::Error> for Error {
    fn from(error: emergency::Error) -> Self {
        match &error {
            emergency::Error::NoRoom(_) => {
                Self::environment(error.to_string()).hint("free some space anywhere, or mount a tmpfs")
            }
            emergency::Error::NotFenced { pid, .. } => Self::new(Kind::Directory, error.to_string())
                .hint(format!("`kill -9 {pid}` as its owner or root")),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let hint = refusal.hint();
        let kind = match &refusal {
            Refusal::Input(_) | Refusal::Grant(_) | Refusal::UnknownTarget { .. } => Kind::Invalid,
            Refusal::Locked { .. }
            | Refusal::HeldHere { .. }
            | Refusal::PlanChanged { .. }
            | Refusal::PlanNotWhole { .. }
            | Refusal::KeyTaken { .. }
            | Refusal::Conflict(_)
            | Refusal::SetAside { aside: Aside { damaged: false, .. }, .. } => Kind::Conflict,
            Refusal::Halted(_) => Kind::Halted,
            Refusal::UnknownRun(_) => Kind::NotFound,
            Refusal::Exhausted(_) => Kind::Environment,
            Refusal::Fenced | Refusal::Leaving | Refusal::SetAside { .. } => Kind::Directory,
            Refusal::Internal(_) => Kind::Internal,
            Refusal::Runbook(_) | Refusal::Target(_) | Refusal::Audit(_) | Refusal::Plugin(_) => {
                let told = match refusal {
                    Refusal::Runbook(troubles) => troubles.into(),
                    Refusal::Target(failure) => failure.into(),
                    Refusal::Audit(error) => error.into(),
                    Refusal::Plugin(error) => error.into(),
                    _ => unreachable!("the outer match took the others"),
                };
                return Self::maybe(told, hint);
            }
        };
        Self::new(kind, refusal.to_string()).maybe(hint)
    }
}

impl From<Troubles> for Error {
    fn from(troubles: Troubles) -> Self {
        let detail = troubles.render();
        let mut error = Self::invalid(troubles.to_string());
        error.detail = Some(detail);
        error.hint(format!("`runbook validate {}` shows them again and runs nothing", troubles.file))
    }
}
