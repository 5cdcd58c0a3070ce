//! The host's side of the contract in `wit/`, generated; and of what version 0.1.0 of it had otherwise.

wasmtime::component::bindgen!({
    path: [
        "../../wit/types",
        "../../wit/secrets",
        "../../wit/containers",
        "../../wit/state",
        "../../wit/http",
        "../../wit/clock",
        "../../wit/log",
        "../../wit/progress",
        "../../wit/step",
    ],
    world: "runbook:step/plugin",
    with: { "runbook:secrets/secrets.secret": super::secret::Handle },
    imports: { default: async | trappable },
    exports: { default: async },
});

/// Interfaces of version 0.1.0 that a later version has otherwise.
pub(super) mod first {
    wasmtime::component::bindgen!({
        path: ["../../wit/types", "../../wit/secrets", "contract_0_1"],
        world: "runbook:first/first",
        with: {
            "runbook:types/types": super::runbook::types::types,
            "runbook:secrets/secrets": super::runbook::secrets::secrets,
        },
        imports: { default: async | trappable },
    });
}
