//! Named container daemons: how each is reached, in words. Connects to nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Origin;
use crate::error::Error;
use crate::model::ids::TargetName;

/// Where Docker listens unless someone says otherwise.
pub const DEFAULT_CONNECTION: &str = "unix:///var/run/docker.sock";

/// Docker's port without and with TLS.
const PLAIN_PORT: u16 = 2375;
const TLS_PORT: u16 = 2376;

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// A connection that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A daemon elsewhere.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

impl Target {
    /// Understands the connection; only now, so that a wrong target disturbs nobody who does not use it.
    pub fn address(&self) -> Result<Address, Error> {
        let refuse = |message: String, hint: &str| {
            Err(Error::environment(format!("target `{}` ({}): {message}", self.name, self.origin)).hint(hint))
        };
        let text = self.connection.as_str();
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse(
                format!("`{text}` is not a connection"),
                "write `unix:///var/run/docker.sock` or `tcp://host:2376`",
            );
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Address::Unix(PathBuf::from(rest))),
            "unix" => refuse(
                format!("`{text}` has no absolute path"),
                "write three slashes: `unix:///var/run/docker.sock`",
            ),
            "tcp" => match host_and_port(rest, self.tls.is_some()) {
                Some((host, port)) => Ok(Address::Tcp { host, port }),
                None => refuse(format!("`{text}` names no host and port"), "write `tcp://host:2376`"),
            },
            "ssh" => refuse(
                "connections over `ssh://` are not supported".to_owned(),
                "forward the socket yourself (`ssh -nNT -L /run/remote.sock:/var/run/docker.sock HOST`) and name it: unix:///run/remote.sock",
            ),
            other => refuse(
                format!("connections over `{other}://` are not supported"),
                "write `unix:///path` or `tcp://host:port`",
            ),
        }
    }
}

fn host_and_port(rest: &str, tls: bool) -> Option<(String, u16)> {
    let rest = rest.trim_end_matches('/');
    let default = if tls { TLS_PORT } else { PLAIN_PORT };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (rest, default),
    };
    let legal = !host.is_empty() && !host.contains(['/', '@', ' ', '?', '#']);
    legal.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(connection: &str) -> Result<Address, Error> {
        let target = Target {
            name: TargetName::new("local").unwrap(),
            connection: connection.to_owned(),
            tls: None,
            environment: None,
            origin: Origin::Default,
        };
        target.address()
    }

    #[test]
    fn sockets_and_hosts_are_understood() {
        assert_eq!(address(DEFAULT_CONNECTION).unwrap(), Address::Unix("/var/run/docker.sock".into()));
        let tcp = |host: &str, port| Address::Tcp { host: host.to_owned(), port };
        assert_eq!(address("tcp://prod-1:2376").unwrap(), tcp("prod-1", 2376));
        assert_eq!(address("tcp://prod-1").unwrap(), tcp("prod-1", 2375));
        assert_eq!(address("tcp://[::1]:2376/").unwrap(), tcp("[::1]", 2376));
        assert_eq!(address("tcp://[::1]").unwrap(), tcp("[::1]", 2375));
    }

    #[test]
    fn ssh_is_refused_with_a_way_out() {
        let error = address("ssh://root@prod-1").unwrap_err();
        assert_eq!(error.kind.exit_code(), 4);
        assert!(error.message.contains("`ssh://`"), "{}", error.message);
        assert!(error.hint.unwrap().contains("ssh -nNT -L"));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "docker.sock", "unix://var/run", "npipe:////./pipe", "tcp://", "tcp://a:b", "tcp://a/b:1"]
        {
            let error = address(text).unwrap_err();
            assert!(error.hint.is_some(), "{text}");
        }
    }
}
