//! A runtime's configuration (OCI runtime-spec, `config.json`), from Docker's to another container's.

use super::call::Call;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// The first of the machine's users that a pod with a user namespace has, and how many it has.
pub(crate) const FIRST_USER: u32 = 100_000;
const USERS: u32 = 65536;

/// Names of linux/capability.h, by number.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Where Docker keeps what a container mounts of its own, by the target's beginning.
const OWN_TARGETS: [&str; 2] = ["/kaniko", "/busybox"];

/// Makes the container do what `call` says, in the machine's network, with `root` as its root directory.
pub(crate) fn configure(config: &mut Value, call: &Call, root: &Path) {
    let command = match call.command.as_slice() {
        [] => &["/kaniko/executor".to_owned()][..],
        command => command,
    };
    // Whether this machine has AppArmor shall not decide: its default profile forbids mounts.
    if let Some(process) = config["process"].as_object_mut() {
        process.remove("apparmorProfile");
    }
    config["process"]["args"] = json!([command, &call.args].concat());
    let env = array(&mut config["process"]["env"]);
    env.extend(
        call.env
            .iter()
            .map(|(name, value)| json!(format!("{name}={value}"))),
    );
    config["root"]["path"] = json!(root);
    for volume in &call.volumes {
        let access = if volume.is_read_only { "ro" } else { "rw" };
        array(&mut config["mounts"]).push(json!({
            "destination": volume.target, "type": "bind", "source": volume.source,
            "options": ["rbind", "rprivate", access],
        }));
    }
    namespaces(config).retain(|namespace| namespace["type"] != "network");
}

/// Directories of Docker's volumes, which must belong to the container's root.
pub(crate) fn own_places(config: &Value) -> impl Iterator<Item = PathBuf> {
    let mounts = config["mounts"].as_array().into_iter().flatten();
    let own = mounts.filter(|mount| {
        let target = mount["destination"].as_str().unwrap_or_default();
        mount["type"] == "bind" && OWN_TARGETS.iter().any(|own| target.starts_with(own))
    });
    let sources: Vec<_> = own
        .filter_map(|mount| mount["source"].as_str())
        .map(PathBuf::from)
        .collect();
    sources.into_iter()
}

/// Everything that this machine has to give: what a privileged container is, where the machine itself lacks something.
pub(crate) fn privileged(config: &mut Value) {
    let names: Vec<String> = own_capabilities();
    for set in ["bounding", "effective", "permitted"] {
        config["process"]["capabilities"][set] = json!(names);
    }
    let linux = config["linux"].as_object_mut().expect("an object");
    linux.remove("seccomp");
    linux.insert("maskedPaths".to_owned(), json!([]));
    linux.insert("readonlyPaths".to_owned(), json!([]));
    linux["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
}

/// Like `hostUsers: false` in Kubernetes: root is another user outside, the capabilities are Docker's.
pub(crate) fn with_own_users(config: &mut Value) {
    let map = json!([{"containerID": 0, "hostID": FIRST_USER, "size": USERS}]);
    config["linux"]["uidMappings"] = map.clone();
    config["linux"]["gidMappings"] = map;
    namespaces(config).push(json!({"type": "user"}));
    let mounts = array(&mut config["mounts"]);
    mounts.retain(|mount| mount["type"] != "cgroup");
    for mount in mounts {
        // The network is the machine's, so a sysfs of its own is not the pod's to mount.
        if mount["type"] == "sysfs" {
            *mount = json!({
                "destination": "/sys", "type": "bind", "source": "/sys",
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
            });
        }
    }
}

/// What this process may do itself.
fn own_capabilities() -> Vec<String> {
    let status = fs::read_to_string("/proc/self/status").expect("read this process's status");
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = bits.expect("a line of capabilities").trim();
    let bits = u64::from_str_radix(bits, 16).expect("a number");
    let named = CAPABILITIES.iter().enumerate();
    let own = named.filter(|(number, _)| bits & (1 << number) != 0);
    own.map(|(_, name)| format!("CAP_{name}")).collect()
}

fn namespaces(config: &mut Value) -> &mut Vec<Value> {
    array(&mut config["linux"]["namespaces"])
}

fn array(value: &mut Value) -> &mut Vec<Value> {
    value.as_array_mut().expect("an array")
}
