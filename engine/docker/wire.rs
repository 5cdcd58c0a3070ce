//! The wire to a daemon: a connection of its own for each request. What the daemon sends is counted while it comes in.
//!
//! bollard keeps a whole answer in memory and makes values of it, hundreds of bytes for each `{}`. So an answer is cut off
//! here, before it is large. Streams have no such limit: who reads them keeps only a bounded part (`frames`).

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bollard::errors::Error as BollardError;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::exchange::Exchange;
use crate::name::{is_id, is_name};

/// The largest answer, in bytes with its header.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// The most maps of an answer. The list of a thousand containers holds some ten thousand.
const MAX_ANSWER_MAPS: usize = 50_000;
/// The most values of an answer.
const MAX_ANSWER_VALUES: usize = 250_000;
/// The longest error text of a daemon that is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// The limit that an answer is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooLarge {
    #[error("it has more than {} MiB", MAX_ANSWER_BYTES >> 20)]
    Bytes,
    #[error("it holds more than {MAX_ANSWER_MAPS} maps")]
    Maps,
    #[error("it holds more than {MAX_ANSWER_VALUES} values")]
    Values,
}

tokio::task_local! {
    /// Where it is noted that the answer to the present question was cut off: errors lose their causes on the way through
    /// hyper and bollard.
    pub(super) static CUT_OFF: Arc<OnceLock<TooLarge>>;
}

/// How to reach the daemon.
#[derive(Clone)]
pub(super) enum Road {
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
    Tls {
        address: String,
        name: ServerName<'static>,
        connector: TlsConnector,
    },
}

/// See the module; cheap to clone.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) road: Road,
    /// Put before each path: `/v1.41`. bollard leaves it out, and then the daemon's newest version would apply.
    pub(super) version: String,
}

impl Wire {
    /// What a container printed.
    pub(super) async fn logs(&self, id: &str, query: &str) -> Result<Response<Incoming>, BollardError> {
        if !is_name(id) {
            return Err(refused(StatusCode::NOT_FOUND, "the daemon names a container by an id that is none"));
        }
        self.ask(Request::get(format!("http://daemon/containers/{id}/logs?{query}")), Bytes::new()).await
    }

    /// The events that the query asks for, one document each.
    pub(super) async fn events(&self, query: &str) -> Result<Response<Incoming>, BollardError> {
        self.ask(Request::get(format!("http://daemon/events?{query}")), Bytes::new()).await
    }

    /// The whole answer to a request in the daemon's own words.
    pub(super) async fn exchange(&self, exchange: &Exchange) -> Result<Bytes, BollardError> {
        let Exchange { method, path, body } = exchange;
        let request = Request::builder().method(method).uri(format!("http://daemon{path}"));
        let answer = self.ask(request, body.clone()).await?;
        Ok(answer.into_body().collect().await?.to_bytes())
    }

    /// Starts an exec and takes the connection over: what it prints comes out, what it reads goes in.
    pub(super) async fn exec(&self, exec: &str) -> Result<TokioIo<hyper::upgrade::Upgraded>, BollardError> {
        if !is_id(exec) {
            return Err(refused(StatusCode::NOT_FOUND, "the daemon names a command by an id that is none"));
        }
        let request = Request::post(format!("http://daemon/exec/{exec}/start"))
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "tcp");
        let response = self.ask(request, Bytes::from_static(br#"{"Detach":false,"Tty":false}"#)).await?;
        Ok(TokioIo::new(hyper::upgrade::on(response).await?))
    }

    async fn ask(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, BollardError> {
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body))?;
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let told = Limited::new(response.into_body(), MAX_ERROR_BYTES).collect().await;
        let told = told.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let words = serde_json::from_slice::<serde_json::Value>(&told).ok();
        let words = words.and_then(|words| Some(words.get("message")?.as_str()?.to_owned()));
        Err(refused(status, &words.unwrap_or_else(|| String::from_utf8_lossy(&told).into_owned())))
    }

    /// Every request takes this way, those of bollard as well.
    pub(super) fn send<B>(
        &self,
        mut request: Request<B>,
    ) -> impl Future<Output = Result<Response<Incoming>, BollardError>> + Send + use<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let count = (!is_stream(request.method(), request.uri().path())).then(|| Count {
            bytes: 0,
            maps: 0,
            values: 0,
            cut_off: CUT_OFF.try_with(Arc::clone).unwrap_or_default(),
        });
        let connector = Connector { road: self.road.clone(), count };
        let versioned = versioned(request.uri(), &self.version);
        let mut client = Client::builder(TokioExecutor::new());
        let client = client.pool_max_idle_per_host(0).build(connector);
        async move {
            *request.uri_mut() = versioned?;
            Ok(client.request(request).await?)
        }
    }
}

fn refused(status: StatusCode, words: &str) -> BollardError {
    BollardError::DockerResponseServerError { status_code: status.as_u16(), message: words.to_owned() }
}

/// What is read piece by piece by those who keep only a part of it: logs, the output of a command, an archive.
fn is_stream(method: &Method, path: &str) -> bool {
    path.ends_with("/logs")
        || path.starts_with("/exec/") && path.ends_with("/start")
        || method == Method::GET && path.ends_with("/archive")
}

fn versioned(uri: &Uri, version: &str) -> Result<Uri, hyper::http::Error> {
    let mut parts = uri.clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", |path| path.as_str());
    parts.path_and_query = Some(format!("{version}{path}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

#[derive(Clone)]
struct Connector {
    road: Road,
    count: Option<Count>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Line>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { road, count } = self.clone();
        Box::pin(async move {
            let stream: Box<dyn Stream> = match road {
                Road::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Road::Tcp(address) => Box::new(dial(&address).await?),
                Road::Tls { address, name, connector } => {
                    Box::new(connector.connect(name, dial(&address).await?).await?)
                }
            };
            Ok(TokioIo::new(Line { stream, count }))
        })
    }
}

async fn dial(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// One connection, and so one answer.
struct Line {
    stream: Box<dyn Stream>,
    /// None for a stream.
    count: Option<Count>,
}

/// What came in so far. Brackets and commas inside texts count as well: the limits are far above what texts hold.
#[derive(Clone)]
struct Count {
    bytes: usize,
    maps: usize,
    values: usize,
    cut_off: Arc<OnceLock<TooLarge>>,
}

impl Count {
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes += bytes.len();
        for byte in bytes {
            self.maps += usize::from(*byte == b'{');
            self.values += usize::from(matches!(byte, b'{' | b'[' | b','));
        }
        let over = if self.bytes > MAX_ANSWER_BYTES {
            TooLarge::Bytes
        } else if self.maps > MAX_ANSWER_MAPS {
            TooLarge::Maps
        } else if self.values > MAX_ANSWER_VALUES {
            TooLarge::Values
        } else {
            return Ok(());
        };
        let _ = self.cut_off.set(over);
        Err(io::Error::other(over))
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match (&read, &mut self.count) {
            (Poll::Ready(Ok(())), Some(count)) => Poll::Ready(count.take(&buffer.filled()[before..])),
            _ => read,
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count() -> Count {
        Count { bytes: 0, maps: 0, values: 0, cut_off: Arc::default() }
    }

    #[test]
    fn an_answer_is_cut_off_at_its_limits_exactly() {
        for (piece, most, over) in [
            ("x", MAX_ANSWER_BYTES, TooLarge::Bytes),
            ("{}", MAX_ANSWER_MAPS, TooLarge::Maps),
            ("1,", MAX_ANSWER_VALUES, TooLarge::Values),
        ] {
            let mut count = count();
            assert!(count.take(piece.repeat(most).as_bytes()).is_ok(), "{over:?}");
            assert_eq!(count.cut_off.get(), None);
            assert!(count.take(piece.as_bytes()).is_err(), "{over:?}");
            assert_eq!(count.cut_off.get(), Some(&over));
        }
    }

    #[test]
    fn the_version_stands_before_the_path() {
        let uri: Uri = "http://daemon/events?until=1".parse().unwrap();
        assert_eq!(versioned(&uri, "/v1.41").unwrap(), "http://daemon/v1.41/events?until=1");
        assert_eq!(versioned(&uri, "").unwrap(), uri);
    }

    #[test]
    fn only_what_is_read_in_pieces_is_a_stream() {
        assert!(is_stream(&Method::GET, "/containers/a/logs"));
        assert!(is_stream(&Method::POST, "/exec/a/start"));
        assert!(is_stream(&Method::GET, "/containers/a/archive"));
        for (method, path) in [
            (Method::PUT, "/containers/a/archive"),
            (Method::POST, "/containers/a/start"),
            (Method::GET, "/containers/logs/json"),
            (Method::GET, "/events"),
        ] {
            assert!(!is_stream(&method, path), "{method} {path}");
        }
    }
}
