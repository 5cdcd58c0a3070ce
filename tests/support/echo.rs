//! An HTTP server that answers with whatever it was sent, and writes it down.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// See the module.
pub(crate) struct Echo {
    port: u16,
    seen: Arc<Mutex<String>>,
}

impl Echo {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::new(Mutex::new(String::new()));
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let into = Arc::clone(&into);
                std::thread::spawn(move || answer(&stream, &into));
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Every request so far, heads and bodies.
    pub(crate) fn seen(&self) -> String {
        self.seen.lock().expect("no panic").clone()
    }
}

fn answer(mut stream: &TcpStream, seen: &Mutex<String>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut whole, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = number.trim().parse().unwrap_or(0);
        }
        let end = line.trim().is_empty();
        whole.push_str(&line);
        if end {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    whole.push_str(&String::from_utf8_lossy(&body));
    seen.lock().expect("no panic").push_str(&format!("{whole}\n\n"));
    // In a header, too, as far as one can carry it.
    let header: String = whole.chars().filter(|c| !c.is_control()).take(2_000).collect();
    let head = format!(
        "HTTP/1.1 200 OK\r\nX-Echo: {header}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        whole.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(whole.as_bytes())
}
