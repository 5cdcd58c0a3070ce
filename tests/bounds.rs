//! What comes from outside is bounded where it comes in: what is refused is one run's own failure, and what is taken can be
//! read for ever.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;

use serde_json::Value;

use crate::support::books::HELLO;
use crate::support::engine::Engine;

/// The deepest document that is taken.
const DEEPEST: usize = 64;

fn nested(depth: usize) -> String {
    format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
}

/// A server that answers every request with a document as deep as its path says; gives its port.
fn deep_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let path = head.first().and_then(|first| first.split(' ').nth(1)).unwrap_or("/0");
            let body = nested(path.trim_start_matches('/').parse().unwrap_or(0));
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    port
}

/// Asks the server for such a document, and goes on with what it answered.
fn asking(port: u16, depth: usize) -> String {
    format!(
        r#"format: 1
runbook: ask
summary: Ask a server.
grants: {{ http: ["http://127.0.0.1:{port}/*"], state: [{{ bucket: mine, actions: [write] }}] }}
steps:
  - {{ id: ask, uses: http.request, with: {{ url: "http://127.0.0.1:{port}/{depth}" }} }}
  - {{ id: log, uses: core.log, with: {{ message: "deep: ${{{{ steps.ask.output.json != null }}}}" }} }}
outputs: {{ answer: "${{{{ steps.ask.output.json }}}}" }}
"#
    )
}

/// Everything else goes on, and the log can be read.
fn all_is_well(engine: &Engine) {
    engine.must(0, &["run", "hello.yaml"]);
    engine.must(0, &["runs", "list"]);
    engine.must(0, &["audit", "tail"]);
    engine.must(0, &["halt", "on", "--reason", "a test"]);
    engine.must(0, &["halt", "off", "--reason", "a test"]);
    engine.must(0, &["state", "set", "mine", "key", "1"]);
    assert_eq!(engine.json(&["audit", "verify"])["verified"], true);
}

fn engine() -> Engine {
    let engine = Engine::new();
    engine.write("hello.yaml", HELLO);
    engine
}

#[test]
fn a_deep_answer_of_a_server_stops_nothing() {
    let (engine, port) = (engine(), deep_server());
    // The output holds the answer one level down, so 63 levels are the most that fit.
    for depth in [DEEPEST - 2, DEEPEST - 1, DEEPEST, DEEPEST + 1, 124, 125, 126, 127, 5_000] {
        let book = engine.write("ask.yaml", &asking(port, depth));
        let run = engine.json(&["run", &book, "--yes"]);
        assert_eq!(run["status"], "succeeded", "{depth}: {run}");
        let kept = depth < DEEPEST;
        assert_eq!(run["outputs"]["answer"].is_array(), kept, "{depth}: {run}");
        assert_eq!(engine.last()["outputs"], run["outputs"], "{depth}");
        all_is_well(&engine);
    }
}

#[test]
fn values_of_people_are_bounded() {
    let engine = engine();
    engine.must(0, &["state", "set", "mine", "deep", &nested(DEEPEST)]);
    let kept: Value = engine.json(&["state", "get", "mine", "deep"]);
    assert_eq!(kept.to_string(), nested(DEEPEST));
    for depth in [DEEPEST + 1, 124, 126, 128, 20_000] {
        engine.must(3, &["state", "set", "mine", "deeper", &nested(depth)]).says(&["64 levels"]);
    }
    let large = "x".repeat(64 << 10);
    engine.must(3, &["state", "set", "mine", "large", &large]).says(&["at most 65536 bytes"]);
    assert_eq!(engine.json(&["state", "list", "mine"]).as_object().map(serde_json::Map::len), Some(1));

    let book = "format: 1\nrunbook: given\nsummary: Take a list.\nparameters: { all: { type: list } }\nsteps:\n  - { id: say, uses: core.log, with: { message: hi } }\n";
    let book = engine.write("given.yaml", book);
    engine.must(0, &["run", &book, "-p", "all=[\"a\"]"]);
    for depth in [DEEPEST + 1, 125, 200] {
        engine.must(3, &["run", &book, "-p", &format!("all={}", nested(depth))]).says(&["64 levels"]);
        let file = engine.write("given.json", &format!(r#"{{"all": {}}}"#, nested(depth)));
        engine.must(3, &["run", &book, "--params", &file]);
    }
    let reason = "x".repeat((16 << 10) + 1);
    engine.must(3, &["run", &book, "-p", "all=[]", "--reason", &reason]).says(&["at most 16384"]);
    engine.must(3, &["halt", "on", "--reason", &reason]).says(&["at most 16384"]);
    all_is_well(&engine);
}

/// Values of runbooks around values of others count together.
#[test]
fn expressions_may_not_nest_deeper() {
    let (engine, port) = (engine(), deep_server());
    let book = |around: usize| {
        let (open, close) = ("[".repeat(around), "]".repeat(around));
        let answer = format!(r#"{open}"${{{{ steps.ask.output.json }}}}"{close}"#);
        asking(port, DEEPEST - 4).replace("outputs:", &format!(
            r#"  - {{ id: send, uses: http.request, with: {{ url: "http://127.0.0.1:{port}/1", method: POST, json: {answer} }} }}
outputs:"#
        ))
    };
    // `with` is a map, so one level around the answer is its own.
    let fits = engine.write("fits.yaml", &book(3));
    assert_eq!(engine.json(&["run", &fits, "--yes"])["status"], "succeeded");
    let deeper = engine.write("deeper.yaml", &book(4));
    let run = engine.json_with(10, &["run", &deeper, "--yes"]);
    assert_eq!(run["status"], "failed", "{run}");
    assert!(run.to_string().contains("64 levels"), "{run}");
    all_is_well(&engine);
}

#[test]
fn requests_over_the_socket_are_bounded() {
    let engine = engine();
    let keeper = "format: 1\nrunbook: keep\nsummary: Keep the engine.\nsteps:\n  - { id: s, uses: core.sleep, with: { for: 30m } }\n";
    let keeper = engine.write("keep.yaml", keeper);
    engine.must(0, &["run", &keeper, "--detach"]);
    let post = |route: &str, body: &str| {
        let mut stream =
            std::os::unix::net::UnixStream::connect(engine.data().join("engine.sock")).expect("the engine");
        let length = body.len();
        let head = format!(
            "POST {route} HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        BufReader::new(stream).lines().map_while(Result::ok).collect::<Vec<_>>().join("\n")
    };
    let fact = |value: &str| {
        format!(
            r#"{{"actor":"me","kind":"state.set","data":{{}},"state":[{{"set":{{"bucket":"mine","key":"k","value":{value}}}}}]}}"#
        )
    };
    for depth in [DEEPEST + 1, 100, 126, 100_000] {
        let answer = post("/v1/facts", &fact(&nested(depth)));
        assert!(!answer.contains("200 OK") && answer.contains("levels"), "{depth}: {answer}");
    }
    let many = format!("[{}1]", "1,".repeat(100_000));
    assert!(post("/v1/facts", &fact(&many)).contains("more than 100000 values"));
    all_is_well(&engine);
}

#[test]
fn reserved_names_are_no_names_of_plugins() {
    let engine = engine();
    engine.write("empty.wasm", "");
    for name in ["ask", "runbook", "manual", "engine", "service", "core"] {
        let ended = engine.run(&["plugin", "add", "empty.wasm", "--name", name]);
        assert_eq!(ended.code, 3, "{ended:?}");
        ended.says(&[&format!("the name `{name}` is reserved"), "--name"]);
    }
    let planted = engine.json(&["plugin", "show", "core"]).to_string();
    let folder = engine.data().join("plugins");
    std::fs::create_dir_all(&folder).expect("a folder");
    for name in ["ask", "core"] {
        let text = planted.replace("\"name\":\"core\"", &format!("\"name\":\"{name}\""));
        let text = text.replacen("\"summary\":\"", "\"summary\":\"Planted. ", 1);
        std::fs::write(folder.join(format!("{name}.json")), text).expect("a file");
    }
    let listed = engine.must(0, &["plugin", "list"]);
    assert!(!listed.said().contains("Planted") && !listed.said().contains("ask."), "{listed:?}");
    engine.must(0, &["run", "hello.yaml"]);
    engine.must(0, &["plugin", "remove", "ask"]);
    assert!(!folder.join("ask.json").exists());
    engine.must(3, &["plugin", "remove", "service"]).says(&["reserved"]);
}
