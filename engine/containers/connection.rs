//! Where a daemon listens, and how to speak to it.
//!
//! Knows addresses, certificates and API versions; does not know what is asked of the daemon.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::Docker;
use hyper::Uri;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::containers::error::{Call, Error, unreachable_daemon};
use crate::model::effect::FailureKind;

/// The port of a daemon without TLS, where none is named.
const PLAIN_PORT: u16 = 2375;
/// The port of a daemon with TLS, where none is named.
const TLS_PORT: u16 = 2376;
/// How long the first greeting may take. A daemon answers it in a millisecond, from memory.
const GREETING_DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer to the greeting, in bytes.
const MAX_GREETING_BYTES: u64 = 8 * 1024;
/// bollard's own timeout, in seconds: longer than any of ours, so that ours decide.
const NEVER_S: u64 = 24 * 60 * 60;

/// A version of the daemon's interface: major and minor.
pub(crate) type ApiVersion = (usize, usize);

/// An open connection.
#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) docker: Docker,
    /// As agreed; none where the daemon names none.
    pub(crate) version: Option<ApiVersion>,
}

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// A socket on this machine.
    Unix(PathBuf),
    /// A port.
    Tcp {
        /// `host:port`.
        host: String,
        /// Certificates; none for a plain connection.
        tls: Option<Tls>,
    },
}

/// PEM files of a connection with TLS, in which both sides prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Whom to trust.
    pub ca: PathBuf,
    /// Who we are.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// An address that cannot be used, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot use the daemon address `{address}`: {hint}")]
pub struct UnusableAddress {
    /// As written.
    pub address: String,
    /// The way out.
    pub hint: &'static str,
}

impl Connection {
    /// Reads `unix:///path`, `/path`, `tcp://host[:port]` or `https://host[:port]`; TLS only with certificates.
    pub fn parse(address: &str, tls: Option<Tls>) -> Result<Self, UnusableAddress> {
        let unusable = |hint| Err(UnusableAddress { address: address.escape_debug().to_string(), hint });
        let (scheme, rest) = match address.split_once("://") {
            Some(parts) => parts,
            None if address.starts_with('/') => ("unix", address),
            None => return unusable("write `unix:///path/to/socket` or `tcp://host:port`"),
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => unusable("a socket needs an absolute path: `unix:///var/run/docker.sock`"),
            "tcp" | "http" | "https" => {
                if scheme == "https" && tls.is_none() {
                    return unusable("`https` needs `ca`, `cert` and `key`");
                }
                match with_port(rest.trim_end_matches('/'), if tls.is_some() { TLS_PORT } else { PLAIN_PORT })
                {
                    Some(host) => Ok(Self::Tcp { host, tls }),
                    None => unusable("write `tcp://host:port`, nothing behind the port"),
                }
            }
            "ssh" => unusable(
                "`ssh://` is not supported; forward the socket (`ssh -N -L /run/user/1000/remote.sock:/var/run/docker.sock \
                 HOST`) and use `unix:///run/user/1000/remote.sock`, or use `tcp://` with TLS",
            ),
            _ => unusable("only `unix://` and `tcp://` are known"),
        }
    }

    /// The address at which this machine reaches what a container on the host's own network serves.
    pub(crate) fn host_address(&self) -> &str {
        match self {
            Self::Unix(_) => "127.0.0.1",
            Self::Tcp { host, .. } => host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host),
        }
    }

    /// Greets the daemon and agrees on the newest API version that both sides know.
    pub(crate) async fn open(&self) -> Result<Opened, Error> {
        let call = Call { verb: "greet", name: "the daemon", writes: false, deadline: GREETING_DEADLINE };
        let opening = async {
            let docker = self.client(call)?;
            let theirs = match self {
                Self::Unix(path) => greet(UnixStream::connect(path).await, self).await?,
                Self::Tcp { host, tls: None } => greet(TcpStream::connect(host).await, self).await?,
                Self::Tcp { tls: Some(_), .. } => {
                    docker.version().await.map_err(|error| call.failed(self, &error))?.api_version
                }
            };
            let version = theirs.as_deref().and_then(parse_version).map(|theirs| theirs.min(newest_known()));
            Ok(Opened { docker: speaking(docker, version), version })
        };
        tokio::time::timeout(GREETING_DEADLINE, opening).await.unwrap_or_else(|_| Err(call.timed_out(self)))
    }

    fn client(&self, call: Call<'_>) -> Result<Docker, Error> {
        let version = bollard::API_DEFAULT_VERSION;
        let client = match self {
            // bollard looks for the file first and would hide why it cannot be used.
            Self::Unix(path) => reachable(path, self).and_then(|path| {
                Docker::connect_with_unix(path, NEVER_S, version).map_err(|error| call.failed(self, &error))
            }),
            Self::Tcp { host, tls: None } => {
                Docker::connect_with_http(&format!("tcp://{host}"), NEVER_S, version)
                    .map_err(|error| call.failed(self, &error))
            }
            Self::Tcp { host, tls: Some(Tls { ca, cert, key }) } => {
                for file in [ca, cert, key] {
                    readable(file)?;
                }
                Docker::connect_with_ssl(&format!("tcp://{host}"), key, cert, ca, NEVER_S, version)
                    .map_err(|error| call.failed(self, &error))
            }
        }?;
        Ok(client)
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, .. } => write!(f, "tcp://{host}"),
        }
    }
}

fn with_port(host: &str, port: u16) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || !host.chars().all(legal) {
        return None;
    }
    // The colons of a bare IPv6 address are not a port's.
    match host.rsplit_once(':') {
        Some((_, digits)) if !host.ends_with(']') => digits.parse::<u16>().is_ok().then(|| host.to_owned()),
        _ => Some(format!("{host}:{port}")),
    }
}

fn reachable<'a>(path: &'a Path, connection: &Connection) -> Result<&'a str, Error> {
    match std::fs::metadata(path) {
        Ok(_) => path.to_str().ok_or_else(|| {
            Error::invalid("containers.address", format!("the path of `{connection}` is not UTF-8"))
        }),
        Err(error) => Err(unreachable_daemon(connection, Some(error.kind()), &error.to_string())),
    }
}

fn readable(file: &Path) -> Result<(), Error> {
    std::fs::File::open(file).map(drop).map_err(|error| {
        Error::certain(
            FailureKind::Unavailable,
            "containers.certificate",
            format!("cannot read the certificate file `{}`: {error}", file.display()),
        )
    })
}

/// `Api-Version` of the daemon's answer to a ping. bollard reads no headers, and its own way of asking
/// makes the daemon start three programs.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: io::Result<S>,
    connection: &Connection,
) -> Result<Option<String>, Error> {
    let failed = |error: io::Error| unreachable_daemon(connection, Some(error.kind()), &error.to_string());
    let mut stream = stream.map_err(failed)?;
    stream
        .write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
        .await
        .map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(MAX_GREETING_BYTES).read_to_end(&mut answer).await.map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    if !answer.starts_with("HTTP/1.") {
        return Err(unreachable_daemon(connection, None, "what listens there does not speak HTTP"));
    }
    Ok(answer
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("api-version").then(|| value.trim().to_owned())))
}

/// The newest version that our side knows.
fn newest_known() -> ApiVersion {
    (bollard::API_DEFAULT_VERSION.major_version, bollard::API_DEFAULT_VERSION.minor_version)
}

fn parse_version(text: &str) -> Option<ApiVersion> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Puts the agreed version before each path; bollard itself leaves it out, and then the daemon's newest would apply.
fn speaking(docker: Docker, version: Option<ApiVersion>) -> Docker {
    let Some((major, minor)) = version else { return docker };
    docker.with_request_modifier(move |mut request| {
        let mut parts = request.uri().clone().into_parts();
        let path = parts.path_and_query.as_ref().map_or("/", |path| path.as_str());
        if let Ok(path) = format!("/v{major}.{minor}{path}").parse() {
            parts.path_and_query = Some(path);
            if let Ok(uri) = Uri::from_parts(parts) {
                *request.uri_mut() = uri;
            }
        }
        request
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let plain = |address: &str| Connection::parse(address, None).unwrap().to_string();
        assert_eq!(plain("unix:///run/docker.sock"), "unix:///run/docker.sock");
        assert_eq!(plain("/run/docker.sock"), "unix:///run/docker.sock");
        assert_eq!(plain("tcp://db-1"), "tcp://db-1:2375");
        assert_eq!(plain("tcp://db-1:99/"), "tcp://db-1:99");
        assert_eq!(plain("tcp://[::1]"), "tcp://[::1]:2375");
    }

    #[test]
    fn other_addresses_are_refused_with_a_way_out() {
        for (address, word) in [
            ("ssh://prod", "forward"),
            ("https://prod", "`ca`"),
            ("unix://relative", "absolute"),
            ("docker.sock", "unix:///"),
            ("npipe://x", "only"),
            ("tcp://", "host:port"),
            ("tcp://a/b", "nothing behind"),
            ("tcp://a:b", "nothing behind"),
        ] {
            let refused = Connection::parse(address, None).unwrap_err().to_string();
            assert!(refused.contains(word), "{refused}");
        }
    }
}
