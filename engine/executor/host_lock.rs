//! One host, one lock: of all engines on this machine, whatever their data directories and users, one acts on a service of
//! a daemon at a time.
//!
//! The lock is an abstract Unix socket, named by the daemon's own id and the service. Whoever could bind it has the lock;
//! the kernel frees it when the process dies. Whoever finds it taken connects: the kernel tells the process and its user,
//! and the holder, as long as it answers, which run it is. The connection stays open until the lock is free, so that
//! nobody has to ask again and again. It says nothing about other machines, or other network namespaces of this one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::host_holder::{Greeting, Neighbour};
use words::ids::{Digest, RunId};

/// How many who wait for one lock are told when it is free; more ask again by themselves.
const MAX_WAITERS: usize = 64;

/// The locks of one run on this machine: the names of their sockets, sorted, and the services.
pub(super) type Names = BTreeMap<String, String>;

/// The name of the lock on a service of a daemon, without the zero byte that makes it abstract.
pub(super) fn name(daemon: &str, service: &str) -> String {
    let digest = Digest::of(format!("{daemon}\n{service}"));
    format!("runbook/lock/{}", digest.as_str())
}

/// Those that this engine holds.
#[derive(Debug, Default)]
pub(super) struct HostLocks {
    held: Mutex<HashMap<String, Held>>,
}

/// One that is held, and by which runs: a run and those of its steps share it.
#[derive(Debug)]
struct Held {
    owners: BTreeSet<RunId>,
    /// The one that answers who asks; ends, and frees the lock, when this is dropped.
    _serving: JoinSet<()>,
}

/// Why a lock was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// Somebody has it.
    Taken(String),
    /// The machine does not give it.
    Broken(io::Error),
}

impl HostLocks {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of them, or none. Those that an ancestor holds are shared.
    pub(super) fn take(
        &self,
        names: &Names,
        ancestors: &[RunId],
        greeting: &Greeting,
    ) -> Result<(), Refused> {
        let mut held = self.held();
        let mut bound = Vec::new();
        for name in names.keys() {
            let owns = |held: &Held| {
                held.owners.contains(&greeting.run) || ancestors.iter().any(|run| held.owners.contains(run))
            };
            match held.get(name) {
                Some(held) if owns(held) => {}
                Some(_) => return Err(Refused::Taken(name.clone())),
                None => bound.push((name.clone(), bind(name)?)),
            }
        }
        for (name, listener) in bound {
            let mut serving = JoinSet::new();
            serving.spawn(serve(listener, Arc::from(greeting.line())));
            held.insert(name, Held { owners: BTreeSet::new(), _serving: serving });
        }
        for name in names.keys() {
            if let Some(held) = held.get_mut(name) {
                held.owners.insert(greeting.run.clone());
            }
        }
        Ok(())
    }

    /// Gives back what this run holds; what others share stays.
    pub(super) fn leave(&self, run: &RunId) {
        self.held().retain(|_, held| !held.owners.remove(run) || !held.owners.is_empty());
    }

    /// Whether this run has all of them.
    pub(super) fn has(&self, run: &RunId, names: &Names) -> bool {
        let held = self.held();
        names.keys().all(|name| held.get(name).is_some_and(|held| held.owners.contains(run)))
    }
}

fn bind(name: &str) -> Result<UnixListener, Refused> {
    let bound = SocketAddr::from_abstract_name(name)
        .and_then(|address| StdListener::bind_addr(&address))
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .and_then(UnixListener::from_std);
    bound.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => Refused::Taken(name.to_owned()),
        _ => Refused::Broken(error),
    })
}

/// Tells everyone who asks which run has the lock, and keeps them on the line until it is given back.
async fn serve(listener: UnixListener, line: Arc<[u8]>) {
    let mut waiters = JoinSet::new();
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            tokio::time::sleep(Neighbour::PAUSE).await;
            continue;
        };
        while waiters.try_join_next().is_some() {}
        let (line, stays) = (Arc::clone(&line), waiters.len() < MAX_WAITERS);
        waiters.spawn(async move {
            if stream.write_all(&line).await.is_ok() && stays {
                // Until the one who waits goes away.
                let _ = stream.readable().await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(n: u32) -> RunId {
        RunId::from_parts(7, n)
    }

    fn greeting(n: u32) -> Greeting {
        Greeting {
            run: run(n),
            runbook: "restart".to_owned(),
            since_ms: 5,
            data_dir: "/var/lib/it".to_owned(),
        }
    }

    fn names(of: &[&str]) -> Names {
        // Other tests of this machine must not meet them.
        let daemon = format!("test {}", std::process::id());
        of.iter().map(|service| (name(&daemon, service), (*service).to_owned())).collect()
    }

    #[tokio::test]
    async fn all_are_taken_or_none_and_a_family_shares_them() {
        let (one, other) = (HostLocks::default(), HostLocks::default());
        let (both, second) = (names(&["shop/a", "shop/b"]), names(&["shop/b"]));
        one.take(&second, &[], &greeting(1)).unwrap();
        assert!(
            matches!(other.take(&both, &[], &greeting(2)), Err(Refused::Taken(name)) if second.contains_key(&name))
        );
        one.take(&second, &[run(1)], &greeting(3)).unwrap();
        assert!(one.take(&second, &[], &greeting(4)).is_err(), "no child of it");
        one.leave(&run(1));
        assert!(other.take(&both, &[], &greeting(2)).is_err(), "the child has it still");
        one.leave(&run(3));
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        while other.take(&both, &[], &greeting(2)).is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(other.has(&run(2), &both) && !one.has(&run(1), &second));
    }

    #[tokio::test]
    async fn who_waits_is_told_who_holds_it_and_when_it_is_free() {
        let (one, both) = (HostLocks::default(), names(&["shop/c"]));
        one.take(&both, &[], &greeting(1)).unwrap();
        let (name, _) = both.first_key_value().unwrap();
        let (neighbour, line) = Neighbour::ask(name).await.unwrap();
        assert_eq!((neighbour.pid, neighbour.said), (std::process::id(), Some(greeting(1))));
        let mut waits = JoinSet::new();
        waits.spawn(line.until_free());
        assert!(waits.try_join_next().is_none());
        one.leave(&run(1));
        waits.join_next().await.unwrap().unwrap();
        assert!(Neighbour::ask(name).await.is_none(), "nobody holds it");
    }

    #[tokio::test]
    async fn a_stranger_on_the_name_is_told_by_its_process() {
        let (name, _) = names(&["shop/d"]).pop_first().unwrap();
        let listener = bind(&name).unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::from(vec![b'x'; 5000])));
        let (neighbour, _line) = Neighbour::ask(&name).await.unwrap();
        assert_eq!((neighbour.pid, neighbour.said), (std::process::id(), None));
    }
}
