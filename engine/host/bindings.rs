//! The host's side of the contract in `wit/`, generated.

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
