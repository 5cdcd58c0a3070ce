//! The environment, read once; nothing else in the engine asks for a variable.

use std::path::PathBuf;
use std::sync::Arc;

use secrets::{Given, KEY_VARIABLE, PASSPHRASE_VARIABLE};
use words::secret::SecretValue;

/// The variables the engine looks at; an empty one counts as unset.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `RUNBOOK_DATA_DIR`
    pub data_dir: Option<PathBuf>,
    /// `RUNBOOK_AUDIT_QUOTA`
    pub audit_quota: Option<String>,
    /// `XDG_DATA_HOME`
    pub xdg_data_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub xdg_config_home: Option<PathBuf>,
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `DOCKER_HOST`
    pub docker_host: Option<String>,
    /// `DOCKER_TLS_VERIFY`
    pub docker_tls_verify: bool,
    /// `DOCKER_CERT_PATH`
    pub docker_cert_path: Option<PathBuf>,
    /// `TMPDIR`
    pub tmpdir: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`
    pub xdg_runtime_dir: Option<PathBuf>,
    /// `SUDO_USER`, which anybody may set
    pub sudo_user: Option<String>,
    /// `RUNBOOK_SECRETS_KEY`, `RUNBOOK_SECRETS_PASSPHRASE`, `CREDENTIALS_DIRECTORY`
    pub secrets: Given,
    /// `NO_COLOR`
    pub no_color: bool,
    /// `TERM`
    pub term: Option<String>,
    /// `COLUMNS`
    pub columns: Option<usize>,
}

impl Environment {
    /// Of this process.
    #[expect(clippy::disallowed_methods, reason = "this is where the environment is read")]
    pub fn of_process() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let hidden = |name: &str| SecretValue::new(text(name)?).ok().map(Arc::new);
        Self {
            data_dir: path("RUNBOOK_DATA_DIR"),
            audit_quota: text("RUNBOOK_AUDIT_QUOTA"),
            xdg_data_home: path("XDG_DATA_HOME").filter(|path| path.is_absolute()),
            xdg_config_home: path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()),
            home: path("HOME").filter(|path| path.is_absolute()),
            docker_host: text("DOCKER_HOST"),
            docker_tls_verify: text("DOCKER_TLS_VERIFY").is_some(),
            docker_cert_path: path("DOCKER_CERT_PATH"),
            tmpdir: path("TMPDIR").filter(|path| path.is_absolute()),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR").filter(|path| path.is_absolute()),
            sudo_user: text("SUDO_USER"),
            secrets: Given {
                key: hidden(KEY_VARIABLE),
                passphrase: hidden(PASSPHRASE_VARIABLE),
                credentials: path("CREDENTIALS_DIRECTORY").filter(|path| path.is_absolute()),
            },
            no_color: text("NO_COLOR").is_some(),
            term: text("TERM"),
            columns: text("COLUMNS").and_then(|value| value.parse().ok()),
        }
    }
}
