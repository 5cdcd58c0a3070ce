//! Where a daemon listens, and how to speak to it.
//!
//! Knows addresses, certificates and API versions; does not know what is asked of the daemon.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::{BollardRequest, Docker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::error::{Call, Error, unreachable_daemon};
use crate::wire::{Road, Wire};
use words::clock;
use words::effect::FailureKind;

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

/// A daemon that was greeted; cheap to clone.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) docker: Docker,
    /// For what bollard would keep in memory whole, or would not know.
    pub(super) wire: Wire,
    /// As agreed; none where the daemon names none.
    pub(super) version: Option<ApiVersion>,
}

impl Link {
    fn new(road: Road, version: Option<ApiVersion>) -> Result<Self, bollard::errors::Error> {
        let wire = Wire { road, version: version.map(in_path).unwrap_or_default() };
        let address = Some("http://daemon");
        let sender = wire.clone();
        let send = move |request: BollardRequest| sender.send(request);
        let docker =
            Docker::connect_with_custom_transport(send, address, NEVER_S, bollard::API_DEFAULT_VERSION)?;
        Ok(Self { docker, wire, version })
    }
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
    pub(super) async fn open(&self) -> Result<Link, Error> {
        let call = Call { verb: "greet", name: "the daemon", writes: false, deadline: GREETING_DEADLINE };
        let opening = async {
            let road = self.road()?;
            let theirs = match self {
                Self::Unix(path) => greet(UnixStream::connect(path).await, self).await?,
                Self::Tcp { host, tls: None } => greet(TcpStream::connect(host).await, self).await?,
                Self::Tcp { tls: Some(_), .. } => {
                    let link = Link::new(road.clone(), None).map_err(|error| call.failed(self, &error))?;
                    link.docker.version().await.map_err(|error| call.failed(self, &error))?.api_version
                }
            };
            let version = theirs.as_deref().and_then(parse_version).map(|theirs| theirs.min(newest_known()));
            Link::new(road, version).map_err(|error| call.failed(self, &error))
        };
        clock::within(GREETING_DEADLINE, opening).await.unwrap_or_else(|_| Err(call.timed_out(self)))
    }

    /// How requests get there.
    fn road(&self) -> Result<Road, Error> {
        Ok(match self {
            // Looked for first, so that it can be said why it cannot be used.
            Self::Unix(path) => Road::Unix(reachable(path, self)?.to_owned()),
            Self::Tcp { host, tls: None } => Road::Tcp(host.clone()),
            Self::Tcp { host, tls: Some(tls) } => Road::Tls {
                address: host.clone(),
                name: server_name(self)?,
                connector: Arc::new(client_config(tls)?).into(),
            },
        })
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

fn reachable<'a>(path: &'a Path, connection: &Connection) -> Result<&'a Path, Error> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(path),
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
    // `HTTP/1.1 503 Service Unavailable`: it has no version to tell now, and will when it is well.
    if answer.split(' ').nth(1).is_some_and(|status| status.starts_with('5')) {
        return Err(unreachable_daemon(connection, None, "it answers that it fails itself"));
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

/// As it stands before each path.
fn in_path((major, minor): ApiVersion) -> String {
    format!("/v{major}.{minor}")
}

/// Whose certificate the daemon must show.
fn server_name(connection: &Connection) -> Result<ServerName<'static>, Error> {
    let host = connection.host_address().trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| {
        Error::invalid(
            "containers.address",
            format!("`{connection}` names no host that a certificate can be for"),
        )
    })
}

/// Trusts the authority of the configuration and no other.
fn client_config(tls: &Tls) -> Result<ClientConfig, Error> {
    let Tls { ca, cert, key } = tls;
    for file in [ca, cert, key] {
        readable(file)?;
    }
    let mut roots = RootCertStore::empty();
    for authority in certificates(ca)? {
        roots.add(authority).map_err(|error| unusable(ca, &error))?;
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(ca, &error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(certificates(cert)?, private)
        .map_err(|error| unusable(cert, &error))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    all.map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, why: &dyn fmt::Display) -> Error {
    let message = format!("cannot use the certificate file `{}`: {why}", file.display());
    Error::certain(FailureKind::Unavailable, "containers.certificate", message)
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
