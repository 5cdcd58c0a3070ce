//! A small HTTP server outside everything: counts what it is asked to do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Listens on loopback until the process ends.
pub(crate) struct Post {
    address: SocketAddr,
    posts: Arc<AtomicUsize>,
}

impl Post {
    pub(crate) fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let posts = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&posts);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                drop(serve(client, &counter));
            }
        });
        Self { address, posts }
    }

    /// For a request.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/do", self.address)
    }

    /// How often it was asked since the last time.
    pub(crate) fn take(&self) -> usize {
        self.posts.swap(0, Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, posts: &AtomicUsize) -> std::io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte)? > 0 {
        head.push(byte[0]);
    }
    if head.starts_with(b"POST ") {
        posts.fetch_add(1, Ordering::SeqCst);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}
