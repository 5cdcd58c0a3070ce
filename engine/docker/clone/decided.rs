//! What becomes of each field of the daemon's document in a copy.
//!
//! A field that nobody has decided about goes along as it is. The test `copy` fails on it, so that somebody decides.

use serde_json::{Map, Value};

/// What becomes of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Goes into the copy as it is.
    Kept,
    /// Goes into the copy, changed where this says.
    Derived(&'static str),
    /// The daemon's own words of this one container.
    Told,
}

use Decision::{Derived, Kept, Told};

/// By the place in the document; `*` stands for any name. What lies below a place is decided with it.
pub const DECIDED: &[(&str, Decision)] = &[
    ("Id", Told),
    ("Created", Told),
    ("Path", Derived("from entry point and command")),
    ("Args", Derived("from entry point and command")),
    ("State", Told),
    ("Image", Derived("another one if asked for")),
    ("ImageManifestDescriptor", Told),
    ("ResolvConfPath", Told),
    ("HostnamePath", Told),
    ("HostsPath", Told),
    ("LogPath", Told),
    ("Name", Derived("a replacement takes it; a further replica has its own")),
    ("RestartCount", Told),
    ("Driver", Told),
    ("Platform", Derived("from the image")),
    ("MountLabel", Told),
    ("ProcessLabel", Told),
    ("AppArmorProfile", Derived("from the security options")),
    ("ExecIDs", Told),
    ("GraphDriver", Told),
    ("Storage", Told),
    ("SizeRw", Told),
    ("SizeRootFs", Told),
    ("Mounts", Derived("a nameless volume goes to a replacement, and is made anew for others")),
    (
        "Config.Hostname",
        Derived("made anew where Docker made it of the id; not with another's network or the machine's name"),
    ),
    ("Config.Domainname", Derived("not with another's network")),
    ("Config.User", Derived("another one if asked for, or with another image")),
    ("Config.AttachStdin", Kept),
    ("Config.AttachStdout", Kept),
    ("Config.AttachStderr", Kept),
    ("Config.ExposedPorts", Derived("not with another's network, where they are the image's alone")),
    ("Config.Tty", Kept),
    ("Config.OpenStdin", Kept),
    ("Config.StdinOnce", Kept),
    ("Config.Env", Derived("changed as asked for; an image's own go with it")),
    ("Config.Cmd", Derived("an image's own goes with it, if the entry point does")),
    ("Config.Healthcheck", Derived("an image's own goes with it")),
    ("Config.ArgsEscaped", Kept),
    ("Config.Image", Derived("another one if asked for; the id where the name has moved on")),
    ("Config.Volumes", Derived("an image's own go with it")),
    ("Config.WorkingDir", Derived("another one if asked for, or with another image")),
    ("Config.Entrypoint", Derived("an image's own goes with it; one that was taken away stays away")),
    ("Config.NetworkDisabled", Kept),
    ("Config.MacAddress", Derived("a further replica has its own; since API 1.44 at the network")),
    ("Config.OnBuild", Derived("an image's own goes with it")),
    (
        "Config.Labels",
        Derived(
            "changed as asked for, and ours, with a digest of what was asked for; an image's own go with it",
        ),
    ),
    ("Config.StopSignal", Derived("an image's own goes with it")),
    ("Config.StopTimeout", Kept),
    ("Config.Shell", Derived("an image's own goes with it")),
    ("HostConfig.Binds", Derived("a nameless volume gets a name in a replacement")),
    ("HostConfig.Mounts", Derived("a nameless volume gets a name in a replacement")),
    ("HostConfig.NetworkMode", Derived("another container's by its id, also after it was replaced")),
    ("HostConfig.IpcMode", Derived("another container's by its id, also after it was replaced")),
    ("HostConfig.PidMode", Derived("another container's by its id, also after it was replaced")),
    ("HostConfig.VolumesFrom", Derived("another container's by its id, also after it was replaced")),
    ("HostConfig.Links", Derived("another container's by its name, also after it was replaced")),
    ("HostConfig.SecurityOpt", Derived("each once: Docker adds those that a privileged one needs")),
    ("HostConfig.AutoRemove", Derived("a container with it is not copied, save for one task")),
    ("HostConfig.ContainerIDFile", Kept),
    ("HostConfig.LogConfig", Kept),
    ("HostConfig.PortBindings", Derived("none for one task")),
    ("HostConfig.PublishAllPorts", Derived("none for one task")),
    ("HostConfig.RestartPolicy", Derived("none for one task")),
    ("HostConfig.VolumeDriver", Kept),
    ("HostConfig.CapAdd", Kept),
    ("HostConfig.CapDrop", Kept),
    ("HostConfig.Capabilities", Kept),
    ("HostConfig.CgroupnsMode", Kept),
    ("HostConfig.Dns", Kept),
    ("HostConfig.DnsOptions", Kept),
    ("HostConfig.DnsSearch", Kept),
    ("HostConfig.ExtraHosts", Kept),
    ("HostConfig.GroupAdd", Kept),
    ("HostConfig.Cgroup", Kept),
    ("HostConfig.OomScoreAdj", Kept),
    ("HostConfig.Privileged", Kept),
    ("HostConfig.ReadonlyRootfs", Kept),
    ("HostConfig.StorageOpt", Kept),
    ("HostConfig.Tmpfs", Kept),
    ("HostConfig.UTSMode", Kept),
    ("HostConfig.UsernsMode", Kept),
    ("HostConfig.ShmSize", Kept),
    ("HostConfig.Sysctls", Kept),
    ("HostConfig.Runtime", Kept),
    ("HostConfig.ConsoleSize", Kept),
    ("HostConfig.Isolation", Kept),
    ("HostConfig.CpuShares", Kept),
    ("HostConfig.Memory", Kept),
    ("HostConfig.NanoCpus", Kept),
    ("HostConfig.CgroupParent", Kept),
    ("HostConfig.BlkioWeight", Kept),
    ("HostConfig.BlkioWeightDevice", Kept),
    ("HostConfig.BlkioDeviceReadBps", Kept),
    ("HostConfig.BlkioDeviceWriteBps", Kept),
    ("HostConfig.BlkioDeviceReadIOps", Kept),
    ("HostConfig.BlkioDeviceWriteIOps", Kept),
    ("HostConfig.CpuPeriod", Kept),
    ("HostConfig.CpuQuota", Kept),
    ("HostConfig.CpuRealtimePeriod", Kept),
    ("HostConfig.CpuRealtimeRuntime", Kept),
    ("HostConfig.CpusetCpus", Kept),
    ("HostConfig.CpusetMems", Kept),
    ("HostConfig.Devices", Kept),
    ("HostConfig.DeviceCgroupRules", Kept),
    ("HostConfig.DeviceRequests", Kept),
    ("HostConfig.KernelMemory", Kept),
    ("HostConfig.KernelMemoryTCP", Kept),
    ("HostConfig.MemoryReservation", Kept),
    ("HostConfig.MemorySwap", Kept),
    ("HostConfig.MemorySwappiness", Kept),
    ("HostConfig.OomKillDisable", Kept),
    ("HostConfig.Init", Kept),
    ("HostConfig.PidsLimit", Kept),
    ("HostConfig.Ulimits", Kept),
    ("HostConfig.CpuCount", Kept),
    ("HostConfig.CpuPercent", Kept),
    ("HostConfig.IOMaximumIOps", Kept),
    ("HostConfig.IOMaximumBandwidth", Kept),
    ("HostConfig.MaskedPaths", Kept),
    ("HostConfig.ReadonlyPaths", Kept),
    ("HostConfig.Annotations", Kept),
    ("NetworkSettings.Networks.*.IPAMConfig", Derived("a further replica of a fixed address is refused")),
    ("NetworkSettings.Networks.*.Links", Kept),
    ("NetworkSettings.Networks.*.Aliases", Derived("without the id; none for one task")),
    ("NetworkSettings.Networks.*.DriverOpts", Kept),
    ("NetworkSettings.Networks.*.GwPriority", Kept),
    ("NetworkSettings.Networks.*.MacAddress", Derived("if it is fixed; a further replica has its own")),
    ("NetworkSettings.Networks.*.DNSNames", Derived("from name, aliases and id")),
    ("NetworkSettings.Networks.*.NetworkID", Derived("from the network's name")),
    ("NetworkSettings.Networks.*.EndpointID", Told),
    ("NetworkSettings.Networks.*.Gateway", Told),
    ("NetworkSettings.Networks.*.IPAddress", Told),
    ("NetworkSettings.Networks.*.IPPrefixLen", Told),
    ("NetworkSettings.Networks.*.IPv6Gateway", Told),
    ("NetworkSettings.Networks.*.GlobalIPv6Address", Told),
    ("NetworkSettings.Networks.*.GlobalIPv6PrefixLen", Told),
    ("NetworkSettings.Bridge", Told),
    ("NetworkSettings.SandboxID", Told),
    ("NetworkSettings.SandboxKey", Told),
    ("NetworkSettings.HairpinMode", Told),
    ("NetworkSettings.LinkLocalIPv6Address", Told),
    ("NetworkSettings.LinkLocalIPv6PrefixLen", Told),
    ("NetworkSettings.Ports", Told),
    ("NetworkSettings.SecondaryIPAddresses", Told),
    ("NetworkSettings.SecondaryIPv6Addresses", Told),
    ("NetworkSettings.EndpointID", Told),
    ("NetworkSettings.Gateway", Told),
    ("NetworkSettings.GlobalIPv6Address", Told),
    ("NetworkSettings.GlobalIPv6PrefixLen", Told),
    ("NetworkSettings.IPAddress", Told),
    ("NetworkSettings.IPPrefixLen", Told),
    ("NetworkSettings.IPv6Gateway", Told),
    ("NetworkSettings.MacAddress", Told),
];

/// What was decided of a place in the document, given as the names on the way to it.
pub fn decision(place: &[&str]) -> Option<Decision> {
    let fits = |pattern: &str| {
        let names: Vec<&str> = pattern.split('.').collect();
        names.len() <= place.len() && names.iter().zip(place).all(|(name, of)| *name == "*" || name == of)
    };
    DECIDED.iter().find(|(pattern, _)| fits(pattern)).map(|(_, decision)| *decision)
}

/// What of a part of the document goes into a copy.
pub(super) fn copied(place: &[&str], part: &Map<String, Value>) -> Map<String, Value> {
    let goes = |name: &str| decision(&[place, &[name]].concat()) != Some(Told);
    part.iter().filter(|(name, _)| goes(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_nobody_decided_about_goes_along() {
        let end = json!({ "Links": ["db"], "IPAddress": "10.0.0.2", "Newer": { "a": 1 } });
        let place = ["NetworkSettings", "Networks", "front"];
        let copied = copied(&place, end.as_object().unwrap());
        assert_eq!(Value::Object(copied), json!({ "Links": ["db"], "Newer": { "a": 1 } }));
        assert_eq!(decision(&["HostConfig", "LogConfig", "Type"]), Some(Kept));
        assert_eq!(decision(&["HostConfig", "Newer"]), None);
    }
}
