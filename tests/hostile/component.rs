//! A component written by hand: text of WebAssembly around a body that does what no SDK would let it do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Host functions by name, with the core types of their parameters and of what they leave on the stack.
const FUNCTIONS: [(&str, &str, &str); 34] = [
    ("containers.service", "i32 i32 i32", ""),
    ("containers.project", "i32 i32 i32", ""),
    ("containers.inspect", "i32 i32 i32", ""),
    ("containers.wait-until", "i32 i32 i32 i64 i64 i32", ""),
    ("containers.stop", "i32 i32 i64 i32", ""),
    ("containers.start", "i32 i32 i32", ""),
    ("containers.kill", "i32 i32 i32 i32 i32", ""),
    ("containers.pause", "i32 i32 i32", ""),
    ("containers.unpause", "i32 i32 i32", ""),
    ("containers.create", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32", ""),
    ("containers.create-with-secrets", "i32 i32", ""),
    ("containers.remove", "i32 i32 i32 i32", ""),
    ("containers.rename", "i32 i32 i32 i32 i32", ""),
    ("containers.update", "i32 i32 i64 i64 i64 i32", ""),
    ("containers.exec", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32", ""),
    ("containers.exec-with-secrets", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32", ""),
    ("containers.logs", "i32 i32 i32 i32 i32", ""),
    ("containers.top", "i32 i32 i32", ""),
    ("containers.document", "i32 i32 i32", ""),
    ("http.send", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32", ""),
    ("http.send-with-secrets", "i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32 i32", ""),
    ("secrets.get", "i32 i32 i32", ""),
    ("plain-text.reveal", "i32 i32", ""),
    ("tcp.connect", "i32 i32 i32 i64 i32", ""),
    ("state.get", "i32 i32 i32 i32 i32", ""),
    ("state.set", "i32 i32 i32 i32 i32 i32 i32", ""),
    ("state.list-keys", "i32 i32 i32 i32 i32", ""),
    ("state.delete", "i32 i32 i32 i32 i32", ""),
    ("artifacts.keep", "i32 i32 i32 i32 i32", ""),
    ("clock.now-ms", "", "i64"),
    ("clock.sleep", "i64 i32", ""),
    ("clock.random", "", "i64"),
    ("log.write", "i32 i32 i32", ""),
    ("progress.report", "i32 i32 i32 i32", ""),
];

/// What an interface looks like to a component that imports it.
const INTERFACES: [(&str, &str); 10] = [
    ("secrets", include_str!("contract/secrets.wat")),
    ("plain-text", include_str!("contract/plain-text.wat")),
    ("containers", include_str!("contract/containers.wat")),
    ("http", include_str!("contract/http.wat")),
    ("tcp", include_str!("contract/tcp.wat")),
    ("state", include_str!("contract/state.wat")),
    ("artifacts", include_str!("contract/artifacts.wat")),
    ("clock", include_str!("contract/clock.wat")),
    ("log", include_str!("contract/log.wat")),
    ("progress", include_str!("contract/progress.wat")),
];

/// What an interface has besides, for a component that uses secrets.
const WITH_SECRETS: [(&str, &str); 2] = [
    ("containers", include_str!("contract/container-secrets.wat")),
    ("http", include_str!("contract/http-secrets.wat")),
];

/// Where the host puts what it answers.
pub(crate) const ANSWER: &str = "(i32.const 64)";
/// Where the static data begins; below are answers.
const DATA: usize = 1024;
/// Where it must have ended.
const HEAP: usize = 128 << 10;

/// One argument of a host call.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Text(&'a str),
    Number(u32),
    Long(u64),
    List(&'a [&'a str]),
    Pairs(&'a [(&'a str, &'a str)]),
    Maybe(Option<&'a str>),
    MaybeList(Option<&'a [&'a str]>),
}

/// A component being written.
pub(crate) struct Guest {
    data: Vec<u8>,
    uses: BTreeSet<&'static str>,
    /// What stands before everything else in the component.
    pub(crate) first: String,
    /// Definitions inside the core module: functions, tables, globals.
    pub(crate) module: String,
    /// Definitions of the component itself, before its core module is instantiated.
    pub(crate) outer: String,
    /// What the core module is given besides the host functions: `(with "name" (instance $it))`.
    pub(crate) with: String,
    /// Imports of the core module from what it is given.
    pub(crate) imports: String,
    /// The expression that `describe` ends with.
    pub(crate) describe: Option<String>,
    /// The name and the summary of its step type.
    pub(crate) called: [String; 2],
    /// The schemas it describes.
    input: String,
    pub(crate) output: String,
    /// What it answers in the end.
    pub(crate) answer: String,
    /// The heap, where the usual one will not do.
    pub(crate) heap: &'static str,
}

impl Guest {
    pub(crate) fn new() -> Self {
        Self {
            data: Vec::new(),
            uses: BTreeSet::new(),
            first: String::new(),
            module: String::new(),
            outer: String::new(),
            with: String::new(),
            imports: String::new(),
            describe: None,
            called: ["attack".to_owned(), "Does harm.".to_owned()],
            input: "{}".to_owned(),
            output: r#"{"type":"object"}"#.to_owned(),
            answer: "{}".to_owned(),
            heap: include_str!("contract/heap.wat"),
        }
    }

    /// Puts bytes into the memory; gives where.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let at = DATA + self.data.len();
        self.data.extend_from_slice(bytes);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        assert!(DATA + self.data.len() < HEAP, "more data than there is room");
        at
    }

    /// A text as a core function takes it.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let at = self.put(text.as_bytes());
        format!("(i32.const {at}) (i32.const {})", text.len())
    }

    /// The same as an address.
    pub(crate) fn place(&mut self, bytes: &[u8]) -> usize {
        self.put(bytes)
    }

    fn words(&mut self, words: &[usize]) -> usize {
        let bytes: Vec<u8> =
            words.iter().flat_map(|word| u32::try_from(*word).expect("small").to_le_bytes()).collect();
        self.put(&bytes)
    }

    fn list(&mut self, texts: &[&str]) -> String {
        let words: Vec<usize> =
            texts.iter().flat_map(|text| [self.put(text.as_bytes()), text.len()]).collect();
        format!("(i32.const {}) (i32.const {})", self.words(&words), texts.len())
    }

    fn argument(&mut self, argument: Arg<'_>) -> String {
        match argument {
            Arg::Text(text) => self.text(text),
            Arg::Number(number) => format!("(i32.const {number})"),
            Arg::Long(number) => format!("(i64.const {number})"),
            Arg::List(texts) => self.list(texts),
            Arg::Pairs(pairs) => {
                let flat: Vec<&str> = pairs.iter().flat_map(|(name, value)| [*name, *value]).collect();
                let list = self.list(&flat);
                list.replace(&format!("(i32.const {})", flat.len()), &format!("(i32.const {})", pairs.len()))
            }
            Arg::Maybe(text) => {
                text.map_or("(i32.const 0) ".repeat(3), |text| format!("(i32.const 1) {}", self.text(text)))
            }
            Arg::MaybeList(texts) => texts
                .map_or("(i32.const 0) ".repeat(3), |texts| format!("(i32.const 1) {}", self.list(texts))),
        }
    }

    /// A call whose answer is left alone.
    pub(crate) fn call(&mut self, function: &str, arguments: &[Arg<'_>]) -> String {
        let given: Vec<String> = arguments.iter().map(|argument| self.argument(*argument)).collect();
        self.raw(function, &given.join(" "))
    }

    /// The same with arguments that are expressions already.
    pub(crate) fn raw(&mut self, function: &str, arguments: &str) -> String {
        let known = FUNCTIONS.iter().find(|(name, ..)| *name == function);
        let (name, parameters, result) = known.unwrap_or_else(|| panic!("no host function `{function}`"));
        self.uses.insert(name);
        let answers = result.is_empty() && !function.starts_with("log") && !function.starts_with("progress");
        let answer = if answers && !parameters.is_empty() { ANSWER } else { "" };
        let call = format!("(call ${name} {arguments} {answer})");
        if *result == "i64" { format!("(drop {call})") } else { call }
    }

    /// The component whose `run` does this and then answers.
    pub(crate) fn does(self, body: &str) -> Vec<u8> {
        self.ends(&format!("{body}\n(i32.const 16)"))
    }

    /// The component whose `run` does this, which must end as core code does: with the place of its result.
    pub(crate) fn ends(self, body: &str) -> Vec<u8> {
        let text = self.wat(body);
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn wat(mut self, body: &str) -> String {
        let answer = self.answer.clone();
        let answer = [0, 0, self.put(answer.as_bytes()), answer.len()];
        let described = self.description();
        let mut lowered = String::new();
        let mut given = String::new();
        let mut imports = std::mem::take(&mut self.imports);
        let interfaces: BTreeSet<&str> = self.uses.iter().map(|name| split(name).0).collect();
        for (name, parameters, result) in FUNCTIONS.iter().filter(|(name, ..)| self.uses.contains(name)) {
            let (interface, function) = split(name);
            let result = if result.is_empty() { String::new() } else { format!("(result {result})") };
            let _ = writeln!(
                imports,
                r#"(import "{interface}" "{function}" (func ${name} (param {parameters}) {result}))"#
            );
            let _ = writeln!(
                lowered,
                r#"(core func ${name} (canon lower (func ${interface} "{function}") (memory (core memory $heap "memory")) (realloc (core func $heap "realloc"))))"#
            );
        }
        for interface in &interfaces {
            let functions = self.uses.iter().filter(|name| split(name).0 == *interface);
            let exports = functions.fold(String::new(), |mut all, name| {
                let _ = write!(all, r#"(export "{}" (func ${name}))"#, split(name).1);
                all
            });
            let _ = writeln!(given, r#"(with "{interface}" (instance {exports}))"#);
        }
        let types = types(&interfaces);
        let Self { first, module, outer, with, heap, data, .. } = self;
        let answer: String =
            answer.iter().map(|word| hex(&u32::try_from(*word).expect("small").to_le_bytes())).collect();
        let (world, step, data) =
            (include_str!("contract/types.wat"), include_str!("contract/step.wat"), hex(&data));
        format!(
            r#"(component {first}
{world}{types}{heap}{lowered}
(core module $plugin (import "heap" "memory" (memory 0)) {imports}
  (data (i32.const 16) "{answer}") (data (i32.const {DATA}) "{data}")
  {module}
  (func (export "describe") (result i32) {described})
  (func (export "run") (param $step i32) (param $step-len i32) (param $run i32) (param $run-len i32) (param $path i32)
    (param $path-len i32) (param $attempt i32) (param $since i64) (param $input i32) (param $input-len i32) (result i32)
    (local $i i32) (local $j i32) {body})
)
{outer}
(core instance $plugin (instantiate $plugin (with "heap" (instance $heap)) {given} {with}))
{step})"#
        )
    }

    fn description(&mut self) -> String {
        if let Some(described) = self.describe.take() {
            return described;
        }
        let [name, summary] = self.called.clone();
        let texts = [name, summary, self.input.clone(), self.output.clone()];
        let mut words: Vec<usize> =
            texts.iter().flat_map(|text| [self.put(text.as_bytes()), text.len()]).collect();
        words.extend([0, 0]);
        let step = self.words(&words);
        let list = self.words(&[step, 1]);
        format!("(i32.const {list})")
    }
}

/// What the interfaces look like; those of secrets where a component asks for secrets.
fn types(interfaces: &BTreeSet<&str>) -> String {
    let used = INTERFACES.iter().filter(|(name, _)| interfaces.contains(name));
    used.map(|(name, text)| {
        let more = WITH_SECRETS.iter().find(|(known, _)| known == name && interfaces.contains("secrets"));
        match more {
            Some((_, more)) => {
                let end = text.rfind("  ))").unwrap_or(text.len());
                format!("{}{more}{}", &text[..end], &text[end..])
            }
            None => (*text).to_owned(),
        }
    })
    .collect()
}

/// `containers.stop`: its interface and its function.
fn split(name: &str) -> (&str, &str) {
    name.split_once('.').unwrap_or((name, ""))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    })
}

/// Again and again, without end.
pub(crate) fn forever(body: &str) -> String {
    format!("(loop $again {body} (br $again))")
}

/// So many times.
pub(crate) fn times(count: u32, body: &str) -> String {
    format!(
        "(local.set $i (i32.const 0)) (loop $next {body} (local.set $i (i32.add (local.get $i) (i32.const 1)))
         (br_if $next (i32.lt_u (local.get $i) (i32.const {count}))))"
    )
}
