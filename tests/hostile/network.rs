//! Plugins that reach for addresses they were not given, in every spelling and by every detour.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::arena::{Arena, Case};
use super::component::{Arg, Guest};

/// An honest server that writes down what it is asked, and sends everybody on to where nobody may go.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer(&stream, &into);
            }
        });
        Self { port, seen }
    }

    fn seen(&self) -> String {
        self.seen.lock().expect("no panic").join("\n")
    }
}

fn answer(mut stream: &TcpStream, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        seen.lock().expect("no panic").push(line);
    }
    stream.write_all(
        b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
}

fn get(guest: &mut Guest, url: &str, headers: &[(&str, &str)]) -> String {
    guest.call(
        "http.send",
        &[
            Arg::Text("GET"),
            Arg::Text(url),
            Arg::Pairs(headers),
            Arg::Maybe(None),
            Arg::Long(2_000),
            Arg::Number(0),
        ],
    )
}

/// One plugin that asks for all of these.
fn asks(name: &'static str, urls: &[String]) -> Case {
    let mut guest = Guest::new();
    let calls: Vec<String> = urls.iter().map(|url| get(&mut guest, url, &[])).collect();
    Case::new(name, guest.does(&calls.join("\n")))
}

fn all(urls: &[&str]) -> Vec<String> {
    urls.iter().map(|url| (*url).to_owned()).collect()
}

/// What each of these must come to.
struct Attack {
    case: Case,
    code: &'static str,
}

fn detours(port: u16) -> Vec<Attack> {
    let at = |path: &str| format!("http://127.0.0.1:{port}{path}");
    let attack = |case, code| Attack { case, code };
    let metadata = all(&[
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://0xa9.254.0xa9fe/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://169.254.169.254./",
        "http://169.254.169.254:80/%2e%2e/",
        "http://\u{ff11}69.254.169.254/",
        "http://[fe80::1]/",
        "http://[fd00:ec2::254]/",
        "http://0.0.0.0/",
        "http://0/",
        "http://[::]/",
        "http://255.255.255.255/",
    ]);
    let docker = all(&[
        "http+unix://%2fvar%2frun%2fdocker.sock/containers/json",
        "unix:///var/run/docker.sock",
        "http://%2fvar%2frun%2fdocker.sock/containers/json",
        "file:///var/run/docker.sock",
        "/var/run/docker.sock",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1:2375/_GET",
        "http://user:pass@127.0.0.1/",
        "http://127.0.0.1\\@169.254.169.254/",
        "http://127.0.0.1 .example/",
        "http://a\r\nHost: b/",
        "http://a\0b/",
        "",
    ]);
    let ungranted = vec![
        "http://127.0.0.1:2375/containers/json".to_owned(),
        "http://localhost:2376/".to_owned(),
        format!("http://localhost:{port}/public/"),
        format!("https://127.0.0.1:{port}/public/"),
        format!("http://127.0.0.2:{port}/public/"),
        format!("http://[::1]:{port}/public/"),
        format!("http://127.0.0.1.nip.io:{port}/public/"),
        at("/private"),
        at("/public/../private"),
        at("/public/%2e%2e/private"),
        at("/public/..%2fprivate"),
        at("/public/%2e%2e%2fprivate"),
        at("/public/%252e%252e%252fprivate"),
        at("/public/..;/private"),
        at("/public\u{2215}..\u{2215}private"),
        at("/PUBLIC/x"),
        at("//public/x"),
    ];
    vec![
        attack(asks("metadata", &metadata), "http.forbidden-address"),
        attack(asks("no-address", &docker), "http.url"),
        attack(asks("ungranted", &ungranted), "grant.http"),
        attack(headers(&at("/public/h")), "http.reserved-header"),
        attack(methods(&at("/public/m")), "http.method"),
        attack(connects(), "grant.http"),
        attack(connects_to_metadata(), "http.forbidden-address"),
    ]
}

fn headers(url: &str) -> Case {
    let mut guest = Guest::new();
    let names = ["Host", "hOsT", "Transfer-Encoding", "Content-Length", "Connection", "Upgrade"];
    let calls: Vec<String> =
        names.iter().map(|name| get(&mut guest, url, &[(name, "private.example")])).collect();
    Case::new("headers", guest.does(&calls.join("\n")))
}

fn methods(url: &str) -> Case {
    let mut guest = Guest::new();
    let calls: Vec<String> = ["CONNECT", "TRACE", "get", "GET / HTTP/1.1\r\nX: y", ""]
        .iter()
        .map(|method| {
            let words = [Arg::Text(method), Arg::Text(url), Arg::Pairs(&[]), Arg::Maybe(None)];
            guest.call("http.send", &[&words[..], &[Arg::Long(1_000), Arg::Number(1)]].concat())
        })
        .collect();
    Case::new("methods", guest.does(&calls.join("\n")))
}

fn connecting(name: &'static str, hosts: &[&str], port: u32) -> Case {
    let mut guest = Guest::new();
    let calls: Vec<String> = hosts
        .iter()
        .map(|host| guest.call("tcp.connect", &[Arg::Text(host), Arg::Number(port), Arg::Long(1_000)]))
        .collect();
    Case::new(name, guest.does(&calls.join("\n")))
}

fn connects() -> Case {
    connecting(
        "connects",
        &["127.0.0.1", "localhost", "::1", "2130706433", "0x7f.1", "127.1", "::ffff:127.0.0.1"],
        22,
    )
}

fn connects_to_metadata() -> Case {
    connecting("connects-far", &["169.254.169.254", "::ffff:169.254.169.254", "0xa9fea9fe", "0"], 80)
}

#[test]
fn addresses_that_were_not_granted() {
    let server = Server::start();
    let mut attacks = detours(server.port);
    let redirected = asks("redirected", &[format!("http://127.0.0.1:{}/public/r", server.port)]);
    attacks.push(Attack { case: redirected, code: "ok" });
    let (cases, codes): (Vec<_>, Vec<_>) =
        attacks.into_iter().map(|attack| (attack.case, attack.code)).unzip();
    let arena = Arena::of(&cases);

    let told =
        arena.run(&format!("grants:\n  http: [\"http://127.0.0.1:{}/public/*\"]", server.port), &cases);

    for (case, code) in cases.iter().zip(codes) {
        let calls = told.calls(case.name);
        assert_eq!(told.end_of(case.name), "ok", "{}", case.name);
        let others: Vec<_> = calls.iter().filter(|(_, known)| known != code).collect();
        assert!(others.is_empty() && !calls.is_empty(), "{}: not `{code}`: {calls:?}", case.name);
    }
    let seen = server.seen();
    assert_eq!(seen.matches("GET /public/r ").count(), 1, "{seen}");
    assert_eq!(seen.matches("HTTP/1.1").count(), 1, "only the granted one was made: {seen}");
    assert!(!seen.contains("private"), "{seen}");
    arena.end(&told);
}

#[test]
fn a_name_that_leads_where_nobody_may_go() {
    let hosts = "127.0.0.1 localhost\n169.254.169.254 metadata.test\n::ffff:169.254.169.254 mapped.test\n";
    let urls = all(&["http://metadata.test/", "http://METADATA.test./", "http://mapped.test/"]);
    let cases = [asks("name", &urls)];
    let arena = Arena::with_hosts(&cases, hosts);

    let grants = r#"grants: { http: ["http://metadata.test/", "http://mapped.test/"] }"#;
    let told = arena.run(grants, &cases);

    let calls = told.calls("name");
    assert!(calls.len() == 3 && calls.iter().all(|(_, code)| code == "http.forbidden-address"), "{calls:?}");
    arena.end(&told);
}
