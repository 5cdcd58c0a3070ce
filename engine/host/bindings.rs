//! The host's side of the contract in `wit/`, generated.
#![expect(missing_docs, clippy::pedantic, reason = "generated from `wit/`, where the documentation is")]

wasmtime::component::bindgen!({
    path: [
        "wit/types",
        "wit/containers",
        "wit/state",
        "wit/http",
        "wit/clock",
        "wit/log",
        "wit/progress",
        "wit/step",
    ],
    world: "runbook:step/plugin",
    imports: { default: async | trappable },
    exports: { default: async },
});
