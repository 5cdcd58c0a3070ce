//! The host's side of the contract in `wit/`, generated.

wasmtime::component::bindgen!({
    path: [
        "wit/types",
        "wit/secrets",
        "wit/containers",
        "wit/state",
        "wit/http",
        "wit/clock",
        "wit/log",
        "wit/progress",
        "wit/step",
    ],
    world: "runbook:step/plugin",
    with: { "runbook:secrets/secrets.secret": super::secret::Handle },
    imports: { default: async | trappable },
    exports: { default: async },
});
