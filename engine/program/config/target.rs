//! Named container daemons: how each is reached, in words. Connects to nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Origin;
use crate::error::Error;
use docker::{Connection, Tls};
use words::ids::TargetName;

/// Where Docker listens unless someone says otherwise.
pub const DEFAULT_CONNECTION: &str = "unix:///var/run/docker.sock";

/// A named container daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// Its name.
    pub name: TargetName,
    /// As written: `unix:///path` or `tcp://host:port`.
    pub connection: String,
    /// Certificates, for `tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// What depends on it, for example `production`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Who named it.
    pub origin: Origin,
}

/// PEM files of a TLS connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// Whom the daemon's certificate must come from.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Target {
    /// Understands the connection; only now, so that a wrong target disturbs nobody who does not use it.
    pub fn connection(&self) -> Result<Connection, Error> {
        let tls = self.tls.clone().map(|TlsFiles { ca, cert, key }| Tls { ca, cert, key });
        Connection::parse(&self.connection, tls).map_err(|error| {
            let who = format!("target `{}` (from {})", self.name, self.origin);
            Error::environment(format!("{who}: cannot use the address `{}`", error.address)).hint(error.hint)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(connection: &str) -> Result<Connection, Error> {
        let target = Target {
            name: TargetName::new("local").unwrap(),
            connection: connection.to_owned(),
            tls: None,
            environment: None,
            origin: Origin::Variable("DOCKER_HOST"),
        };
        target.connection()
    }

    #[test]
    fn sockets_are_understood() {
        assert_eq!(connection(DEFAULT_CONNECTION).unwrap(), Connection::Unix("/var/run/docker.sock".into()));
    }

    #[test]
    fn ssh_is_refused_with_a_way_out_and_whose_fault_it_is() {
        let error = connection("ssh://root@prod-1").unwrap_err();
        assert_eq!(error.kind.exit_code(), 4);
        assert!(error.message.contains("`ssh://root@prod-1`"), "{}", error.message);
        assert!(error.message.contains("DOCKER_HOST"), "{}", error.message);
        assert!(error.hint.unwrap().contains("forward the socket"));
    }
}
