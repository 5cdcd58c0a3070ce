//! A daemon behind TLS on which both sides prove who they are: certificates by `openssl`, the TLS side of the daemon by
//! Python's own library in front of the real daemon's socket.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::tests::bed::Bed;
use crate::{Connection, Daemon, Tls};
use words::effect::FailureKind;

/// Makes an authority, and a certificate of it for each name.
const CERTIFICATES: &str = r"
set -e
key='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $key -days 2 -keyout ca.key -out ca.pem -subj /CN=ca
openssl req -x509 $key -days 2 -keyout other.key -out other.pem -subj /CN=other
printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >extensions
for name in server client; do
    openssl req $key -keyout $name.key -out $name.csr -subj /CN=$name
    openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $name.pem -extfile extensions
done
";

/// Prints its port, then serves until it is killed.
const SERVER: &str = r#"
import socket, ssl, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("server.pem", "server.key")
context.load_verify_locations("ca.pem")
context.verify_mode = ssl.CERT_REQUIRED
def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
def serve(plain):
    try:
        client = context.wrap_socket(plain, server_side=True)
    except OSError:
        return
    daemon = socket.socket(socket.AF_UNIX)
    daemon.connect("/var/run/docker.sock")
    threading.Thread(target=pump, args=(client, daemon), daemon=True).start()
    pump(daemon, client)
    client.close()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"#;

struct Server {
    process: Child,
    folder: TempDir,
    port: String,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
        let mut process = Command::new("python3")
            .args(["-c", SERVER])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { process, folder, port: port.trim().to_owned() }
    }

    fn daemon(&self, ca: &str, who: &str) -> Daemon {
        let file = |name: String| Path::join(self.folder.path(), name);
        let tls = Tls {
            ca: file(format!("{ca}.pem")),
            cert: file(format!("{who}.pem")),
            key: file(format!("{who}.key")),
        };
        let address = format!("tcp://127.0.0.1:{}", self.port);
        Daemon::connect(&Connection::parse(&address, Some(tls)).unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_daemon_behind_tls_is_asked_and_changed() {
    let bed = Bed::new();
    let id = bed.run("one", &[]);
    let server = Server::start();
    let daemon = server.daemon("ca", "client");
    let stopped = daemon.stop(&id, Duration::from_secs(5)).await.unwrap();
    assert_eq!(Bed::look(&id, "{{.State.Status}}"), "exited");
    assert_eq!(daemon.inspect(&stopped.container.name).await.unwrap(), stopped.container);
}

#[tokio::test]
async fn nobody_is_trusted_without_the_right_certificate() {
    let server = Server::start();
    for (ca, who) in [("other", "client"), ("ca", "other")] {
        let error = server.daemon(ca, who).ping().await.unwrap_err();
        assert!(error.certain && error.failure.kind == FailureKind::Unavailable, "{error}");
    }
    let missing = server.daemon("ca", "nobody").ping().await.unwrap_err();
    assert!(missing.failure.message.contains("nobody.pem"), "{missing}");
}
