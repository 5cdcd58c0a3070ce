//! Serves the routes on the socket of the data directory, to processes of the same user and of root only. Knows
//! connections and their limits, not what is asked.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::{Extension, Router};
use futures_util::FutureExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::routes::{Peer, router};
use super::socket::SocketPath;
use crate::config::actor_of_peer;
use executor::Engine;

/// More at once wait to be let in. Most of them wait for their turn to be worked on.
const MAX_CONNECTIONS: usize = 256;

/// How long a connection may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection may last in all; a plan of a large project takes seconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_mins(5);

/// How long requests that are under way at the end may take to be answered.
const FAREWELL: Duration = Duration::from_secs(5);

/// Only for its owner.
const MODE: u32 = 0o600;

/// Waits after the kernel refused a connection, so that a lack of file descriptors does not spin.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A socket that is bound and not yet served.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds the socket. The caller holds the lock of the data directory, so that a socket found there is a dead one's.
    pub fn bind(data_dir: &Path) -> std::io::Result<Self> {
        let at = SocketPath::of(data_dir)?;
        match std::fs::remove_file(at.as_path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(at.as_path())?;
        std::fs::set_permissions(at.as_path(), std::fs::Permissions::from_mode(MODE))?;
        Ok(Self { listener, path: data_dir.join("engine.sock") })
    }

    /// Serves until `shutdown`; whoever has been greeted by then is answered, within [`FAREWELL`]. Whoever has not learns it
    /// before having said anything, and asks the next engine.
    pub async fn serve(self, engine: Engine, shutdown: impl Future<Output = ()>) {
        let router = router(engine);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => admit(&mut connections, stream, &router),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                    }
                },
            }
        }
        // Whoever connects from now on learns at once that nobody is here.
        let _ = std::fs::remove_file(&self.path);
        while let Some(Ok((stream, _))) = self.listener.accept().now_or_never() {
            admit(&mut connections, stream, &router);
        }
        drop(self.listener);
        let answered = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, answered).await.is_err() {
            tracing::warn!("requests under way at the end were given up");
        }
    }
}

fn admit(connections: &mut JoinSet<()>, stream: UnixStream, router: &Router) {
    let Some(peer) = allowed(&stream) else {
        tracing::warn!("another user's process was turned away");
        return;
    };
    let router = router.clone().layer(Extension(peer));
    let serving = tokio::time::timeout(CONNECTION_TIMEOUT, converse(stream, router));
    connections.spawn(async move { drop(serving.await) });
}

/// The person at the other end. Root may do anything anyway; others only with what is theirs. Asked before the other end can
/// have said anything, so that its process is most likely still there.
fn allowed(stream: &UnixStream) -> Option<Peer> {
    let own = rustix::process::getuid().as_raw();
    let peer = stream.peer_cred().ok().filter(|peer| peer.uid() == own || peer.uid() == 0)?;
    Some(Peer(actor_of_peer(peer.pid(), peer.uid())))
}

async fn converse(stream: UnixStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended badly");
    }
}
