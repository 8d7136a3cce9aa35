//! Containers as Docker makes them.

use super::call::Call;
use super::daemon::Daemon;
use crate::support::process::{Ended, Running};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Long enough for the largest build of the tests on a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(900);

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A container and the client that waits for it. Dropping it removes the container.
pub(crate) struct Container {
    client: Running,
    name: ContainerName,
}

/// Removes its container when dropped.
struct ContainerName {
    daemon: Arc<Daemon>,
    name: String,
}

/// Starts a container with `docker run`'s own `options`, in the machine's network, where the registry is.
pub(crate) fn start(options: &[&str], call: &Call) -> Container {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let daemon = Daemon::shared();
    let name = format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut command = daemon.docker_command();
    command.args(["run", "--network", "host", "--name", &name]);
    command.args(options);
    for (name, value) in &call.env {
        command.arg("--env").arg(format!("{name}={value}"));
    }
    for volume in &call.volumes {
        let access = if volume.is_read_only { ":ro" } else { "" };
        let source = volume.source.display();
        command
            .arg("--volume")
            .arg(format!("{source}:{}{access}", volume.target));
    }
    if !call.command.is_empty() {
        command.arg("--entrypoint").arg("");
    }
    command.arg(&call.image);
    command.args(&call.command).args(&call.args);
    Container {
        client: Running::start("docker", command, TIMEOUT),
        name: ContainerName { daemon, name },
    }
}

/// Runs a container to its end.
pub(crate) fn run(options: &[&str], call: &Call) -> Ended {
    start(options, call).wait()
}

impl Container {
    pub(crate) fn wait_for_output(&mut self, text: &str) {
        self.client.wait_for_output(text);
    }

    /// The configuration that the runtime was given for it.
    pub(crate) fn config(&self) -> Value {
        let ContainerName { daemon, name } = &self.name;
        let id = daemon
            .docker(["inspect", "--format", "{{.Id}}", name])
            .run();
        let file = daemon.bundle_config(id.trim());
        let text = fs::read(file).expect("read the configuration of a running container");
        serde_json::from_slice(&text).expect("a configuration is JSON")
    }

    /// Writes the files of its root directory into an archive.
    pub(crate) fn export(&self, archive: &Path) {
        let ContainerName { daemon, name } = &self.name;
        daemon
            .docker(["export", name, "--output"])
            .arg(archive)
            .run();
    }

    /// A control group beside this container's own.
    pub(crate) fn cgroup(&self, name: &str) -> String {
        format!("{}/{name}", self.name.daemon.cgroup_parent())
    }

    /// Waits until other programs can be started in it.
    pub(crate) fn wait_until_it_runs(&self) {
        let ContainerName { daemon, name } = &self.name;
        let ask = ["inspect", "--format", "{{.State.Running}}", name];
        let deadline = Instant::now() + START_TIMEOUT;
        while !daemon.docker(ask).output().stdout.starts_with(b"true") {
            assert!(Instant::now() < deadline, "the container does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a shell's script in the container, beside what runs there, and returns what it printed.
    pub(crate) fn exec(&self, script: &str) -> String {
        let ContainerName { daemon, name } = &self.name;
        daemon
            .docker(["exec", name, "/busybox/sh", "-ec", script])
            .run()
    }

    pub(crate) fn wait(self) -> Ended {
        let ended = self.client.wait();
        assert!(
            !ended.timed_out,
            "the container did not end in time\n{ended:?}"
        );
        ended
    }
}

impl Drop for ContainerName {
    fn drop(&mut self) {
        // With the volumes that the image asks for. The daemon's end removes what this cannot.
        let removal = ["rm", "--force", "--volumes", &self.name];
        let _ = self.daemon.docker(removal).output();
    }
}
