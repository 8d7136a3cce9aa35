//! Containers that Docker cannot make here, run by `runc`: Docker's own configuration and root directory, altered.
//!
//! The configuration is the one that the daemon gave its runtime for a container of the same image, so the profile,
//! the masked paths, the devices and the mounts are the real ones. The root directory is an overlay, as Docker's is.

use super::call::Call;
use super::docker::{self, Container};
use super::pod_config;
use crate::support::TestDir;
use crate::support::process::{Ended, Running};
use crate::support::tool::Tool;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(900);

/// What a pod differs in from a container of Docker's.
pub(crate) struct Pod<'a> {
    /// Options of `docker run` for the container whose configuration is taken.
    pub(crate) options: &'a [&'a str],
    /// What is changed in it.
    pub(crate) alter: fn(&mut Value),
    /// The machine's user who is root in the pod.
    pub(crate) root: u32,
}

/// Runs a container of the debug image with `pod`'s differences, to its end.
pub(crate) fn run(pod: &Pod<'_>, call: &Call) -> Ended {
    // Its network files and the image's volumes are the pod's as well, so it lives as long as that.
    let model = Call::script("echo ready; exec sleep 3600");
    let mut model = docker::start(pod.options, &model);
    model.wait_for_output("ready");
    let dir = TestDir::new();
    let mut config = model.config();
    pod_config::configure(&mut config, call, &dir.join("rootfs"));
    config["linux"]["cgroupsPath"] = json!(model.cgroup(dir.token()));
    (pod.alter)(&mut config);
    lay_out_root(&model, &dir);
    for place in pod_config::own_places(&config).chain([dir.join("lower"), dir.join("upper")]) {
        let owner = format!("{0}:{0}", pod.root);
        Tool::new("chown")
            .args(["--recursive", &owner])
            .arg(place)
            .run();
    }
    fs::write(dir.join("config.json"), config.to_string()).expect("write the bundle's config");
    let ended = Running::start("runc", runc(&dir), TIMEOUT).wait();
    assert!(!ended.timed_out, "the pod did not end in time\n{ended:?}");
    ended
}

/// The image's files, and what an overlay over them needs.
fn lay_out_root(model: &Container, dir: &TestDir) {
    for name in ["lower", "upper", "overlay", "rootfs", "runc"] {
        fs::create_dir(dir.join(name)).expect("make a directory of the bundle");
    }
    let exported = dir.join("root.tar");
    model.export(&exported);
    Tool::new("tar")
        .args([
            "--extract",
            "--numeric-owner",
            "--same-permissions",
            "--file",
        ])
        .arg(&exported)
        .arg("--directory")
        .arg(dir.join("lower"))
        .run();
    fs::remove_file(exported).expect("remove the exported root");
}

/// In namespaces of its own, as the daemon: nothing outlives it.
fn runc(dir: &TestDir) -> Command {
    let script = "mount -t overlay -o lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/overlay overlay $1/rootfs\n\
                  exec runc --root $1/runc run --bundle $1 $2";
    let mut command = Command::new("setpriv");
    command
        .args([
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--pid",
            "--fork",
        ])
        .args([
            "--kill-child=KILL",
            "--mount-proc",
            "sh",
            "-ec",
            script,
            "sh",
        ])
        .arg(dir.path())
        .arg(dir.token());
    command
}
