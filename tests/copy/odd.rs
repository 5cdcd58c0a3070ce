//! Containers that use what is seldom used, each as a request of the daemon's own.

use serde_json::{Value, json};

use super::daemon::Daemon;

/// What a container is asked for beside its name and labels.
pub(super) struct Odd {
    pub(super) service: &'static str,
    pub(super) body: Value,
    /// Networks that it joins after it is made, with its end of each.
    pub(super) joins: Vec<(&'static str, Value)>,
    pub(super) leaves_bridge: bool,
    /// Why there can be no second replica.
    pub(super) alone: Option<&'static str>,
}

fn odd(service: &'static str, body: Value) -> Odd {
    Odd { service, body, joins: Vec::new(), leaves_bridge: false, alone: None }
}

impl Odd {
    fn joins(mut self, network: &'static str, end: Value) -> Self {
        self.joins.push((network, end));
        self
    }

    fn alone(self, why: &'static str) -> Self {
        Self { alone: Some(why), ..self }
    }
}

/// How many there are at once: the checks of their health alone would else keep a machine busy.
const AT_ONCE: usize = 6;

/// All of them, in groups that are made and removed together. In a text `@` stands for the project's name, `%` for a number
/// that makes a subnet of its own, `?` for a free port, `#NETWORK` for its id. Who uses another is in its group, after it.
pub(super) fn groups(daemon: &Daemon) -> Vec<Vec<Odd>> {
    let mut rest = names();
    for some in [networks(), limits(), rights(), newer(daemon)] {
        rest.extend(some);
    }
    let mut groups = vec![owners(), volumes()];
    while !rest.is_empty() {
        groups.push(rest.split_off(rest.len().saturating_sub(AT_ONCE)));
    }
    groups
}

/// Some are used by others, each of which names another by its id or name.
fn owners() -> Vec<Odd> {
    vec![
        odd("plain", json!({})).joins("@-b", json!({ "Aliases": ["plain"] })),
        odd(
            "shared",
            json!({ "HostConfig": { "IpcMode": "shareable", "CgroupnsMode": "host", "UsernsMode": "host" } }),
        ),
        odd(
            "sidecar",
            json!({ "HostConfig": { "NetworkMode": "container:@-shared-1" },
            "Healthcheck": { "Test": ["NONE"] }, "Cmd": ["sleep", "9999"] }),
        ),
        odd("guest", json!({ "HostConfig": { "IpcMode": "container:@-shared-1" } })),
        odd("link", json!({ "HostConfig": { "Links": ["@-plain-1:elder"] } })),
        odd(
            "aliases",
            json!({ "HostConfig": { "NetworkMode": "@-a" },
            "NetworkingConfig": { "EndpointsConfig": { "@-a": {
            "Aliases": ["web", "@-aliases-1"] } } } }),
        )
        .joins("@-b", json!({ "Aliases": ["behind"], "Links": ["@-plain-1:elder"] })),
    ]
}

fn names() -> Vec<Odd> {
    vec![
        odd("hostname", json!({ "Hostname": "db", "Domainname": "example.test" })),
        odd(
            "words",
            json!({
                "Env": ["START_DELAY=0", "A==b=", "EMPTY=", "LINES=one\ntwo", "WORT=süß", "SPACE= x "],
                "Labels": { "own.label": "with, comma=and equals", "empty": "" },
                "Cmd": ["sh", "-c", "exec serve # 'a b' \"c\" $0", "two words"], "WorkingDir": "/tmp"
            }),
        ),
        odd("taken-away", json!({ "Image": "@-entry", "Entrypoint": [""], "Cmd": ["serve"] })),
        odd("own-entry", json!({ "Image": "@-entry", "Entrypoint": ["/bin/env"], "Cmd": ["serve"] })),
        odd("image-entry", json!({ "Image": "@-entry", "Cmd": null })),
        odd("no-command", json!({ "Image": "@-entry", "Entrypoint": ["serve"], "Cmd": null })),
        odd(
            "terminal",
            json!({
                "Tty": true, "OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "AttachStdout": true,
            }),
        ),
        odd(
            "stop",
            json!({ "StopSignal": "SIGINT", "StopTimeout": 3, "HostConfig": {
            "RestartPolicy": { "Name": "on-failure", "MaximumRetryCount": 4 } } }),
        ),
        odd(
            "always",
            json!({ "HostConfig": { "RestartPolicy": { "Name": "unless-stopped" },
            "LogConfig": { "Type": "json-file", "Config": { "max-size": "1m", "labels": "own" } } } }),
        ),
        odd(
            "own-check",
            json!({ "Healthcheck": { "Interval": 700_000_000, "Retries": 9, "StartPeriod": 1_000_000_000 } }),
        ),
        odd("no-check", json!({ "Healthcheck": { "Test": ["NONE"] } })),
        odd(
            "user",
            json!({ "User": "1000:1000", "Cmd": ["sh", "-c", "while sleep 1; do :; done"],
            "Healthcheck": { "Test": ["NONE"] }, "HostConfig": { "GroupAdd": ["7", "1000"] } }),
        ),
    ]
}

fn networks() -> Vec<Odd> {
    let end = |aliases: Value| json!({ "Aliases": aliases });
    vec![
        odd("offline", json!({ "NetworkDisabled": true })),
        odd("mac", json!({ "MacAddress": "02:42:ac:11:aa:01" })),
        odd("left", json!({ "HostConfig": { "NetworkMode": "default" } }))
            .joins("@-b", end(json!(["left"])))
            .leaving(),
        odd(
            "address",
            json!({ "HostConfig": { "NetworkMode": "@-a" }, "NetworkingConfig": { "EndpointsConfig": {
            "@-a": { "IPAMConfig": { "IPv4Address": "10.213.%.77" } } } } }),
        )
        .alone("address 10.213."),
        odd("by-id", json!({ "HostConfig": { "NetworkMode": "#@-a" } })),
        odd(
            "dns",
            json!({ "HostConfig": { "Dns": ["192.0.2.1"], "DnsOptions": ["timeout:1"], "DnsSearch": ["example.test"],
            "ExtraHosts": ["other:192.0.2.2", "gate:host-gateway"] } }),
        ),
        odd(
            "ports",
            json!({ "ExposedPorts": { "9/udp": {} }, "HostConfig": { "PortBindings": {
            "8080/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "" }], "9/udp": [{ "HostPort": "" }] } } }),
        ),
        odd("all-ports", json!({ "HostConfig": { "PublishAllPorts": true } })),
        odd(
            "fixed-port",
            json!({ "HostConfig": { "PortBindings": {
            "8080/tcp": [{ "HostIp": "127.0.0.1", "HostPort": "?" }] } } }),
        )
        .alone("is fixed and in use"),
        odd(
            "host",
            json!({ "HostConfig": { "NetworkMode": "host", "UTSMode": "host", "PidMode": "host", "IpcMode": "host" },
            "Healthcheck": { "Test": ["NONE"] }, "Cmd": ["sleep", "9999"] }),
        ),
        odd(
            "host-name",
            json!({ "Hostname": "chosen", "HostConfig": { "NetworkMode": "host" },
            "Healthcheck": { "Test": ["NONE"] }, "Cmd": ["sleep", "9999"] }),
        ),
        odd("none", json!({ "HostConfig": { "NetworkMode": "none" } })),
    ]
}

impl Odd {
    fn leaving(self) -> Self {
        Self { leaves_bridge: true, ..self }
    }
}

fn volumes() -> Vec<Odd> {
    vec![
        odd("nameless", json!({ "Volumes": { "/data": {}, "/more/": {} } })),
        odd(
            "typed",
            json!({ "HostConfig": { "Mounts": [
            { "Type": "volume", "Target": "/anew", "VolumeOptions": { "Labels": { "com.docker.compose.project": "@" } } },
            { "Type": "volume", "Source": "@-named", "Target": "/named", "ReadOnly": true,
                "VolumeOptions": { "NoCopy": true, "DriverConfig": { "Name": "local" } } },
            { "Type": "bind", "Source": "/etc", "Target": "/host-etc", "ReadOnly": true, "Consistency": "cached",
                "BindOptions": { "Propagation": "rprivate", "NonRecursive": true } },
            { "Type": "tmpfs", "Target": "/fast", "TmpfsOptions": { "SizeBytes": 1_048_576, "Mode": 448 } },
        ] } }),
        ),
        odd(
            "binds",
            json!({ "HostConfig": { "Binds": [
            "/etc/hostname:/host-name:ro,rprivate", "@-named:/named:nocopy", "@-other:/other:ro"] } }),
        ),
        odd(
            "read-only",
            json!({ "HostConfig": { "ReadonlyRootfs": true, "ShmSize": 8_388_608,
            "Tmpfs": { "/var": "size=1m,mode=755", "/www": "", "/tmp": "noexec" } } }),
        ),
        odd("from", json!({ "HostConfig": { "VolumesFrom": ["@-nameless-1:ro"] } })),
    ]
}

fn limits() -> Vec<Odd> {
    vec![
        odd(
            "memory",
            json!({ "HostConfig": { "Memory": 67_108_864, "MemorySwap": 134_217_728,
            "MemoryReservation": 33_554_432, "MemorySwappiness": 10, "OomKillDisable": true, "OomScoreAdj": 300,
            "PidsLimit": 99 } }),
        ),
        odd(
            "cpu",
            json!({ "HostConfig": { "CpuShares": 512, "CpuPeriod": 50_000, "CpuQuota": 25_000,
            "CpusetCpus": "0", "CpusetMems": "0" } }),
        ),
        odd(
            "nano",
            json!({ "HostConfig": { "NanoCpus": 500_000_000, "Ulimits": [{ "Name": "nofile", "Soft": 512, "Hard": 1024 }] } }),
        ),
    ]
}

fn rights() -> Vec<Odd> {
    vec![
        odd(
            "caps",
            json!({ "HostConfig": { "CapAdd": ["NET_ADMIN"], "CapDrop": ["NET_RAW", "MKNOD"],
            "SecurityOpt": ["no-new-privileges", "seccomp=unconfined"] } }),
        ),
        odd("unmasked", json!({ "HostConfig": { "MaskedPaths": [], "ReadonlyPaths": ["/proc/bus"] } })),
        odd(
            "devices",
            json!({ "HostConfig": {
            "Devices": [{ "PathOnHost": "/dev/zero", "PathInContainer": "/dev/mine", "CgroupPermissions": "rw" }],
            "DeviceCgroupRules": ["c 1:* rmw"] } }),
        ),
        odd(
            "sysctls",
            json!({ "HostConfig": { "Sysctls": { "net.core.somaxconn": "99" }, "Runtime": "runc" } }),
        ),
    ]
}

/// Those that only newer versions can make.
fn newer(daemon: &Daemon) -> Vec<Odd> {
    if !daemon.knows(45) {
        return Vec::new();
    }
    vec![
        odd(
            "macs",
            json!({ "HostConfig": { "NetworkMode": "@-a" }, "NetworkingConfig": { "EndpointsConfig": {
            "@-a": { "MacAddress": "02:42:ac:11:aa:0a", "DriverOpts": { "own.option": "1" } } } } }),
        )
        .joins("@-b", json!({ "MacAddress": "02:42:ac:11:aa:0b" })),
        odd(
            "start-interval",
            json!({ "Healthcheck": { "StartInterval": 200_000_000, "StartPeriod": 2_000_000_000 } }),
        ),
        odd(
            "annotations",
            json!({ "HostConfig": { "Annotations": { "own": "note" }, "Mounts": [
            { "Type": "bind", "Source": "/etc", "Target": "/host-etc", "ReadOnly": true,
                "BindOptions": { "ReadOnlyNonRecursive": true } }] } }),
        ),
    ]
}
