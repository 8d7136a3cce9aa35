//! A Docker daemon of the tests' own, gone with the last test that uses it.

use super::images::{Variant, images};
use crate::support::TestDir;
use crate::support::process::Running;
use crate::support::tool::Tool;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the kernel may take to empty a control group.
const CGROUP_PATIENCE: Duration = Duration::from_secs(5);

/// Longer than any run of the tests.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// A running `dockerd` that has the images. Dropping it ends it with its containers.
pub(crate) struct Daemon {
    /// Closed to end the daemon.
    end: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
    dir: TestDir,
}

impl Daemon {
    /// The daemon that all tests share which run at this moment.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Daemon>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| {
            // Another test's start has failed, and has said why.
            poisoned.into_inner()
        });
        if let Some(daemon) = shared.upgrade() {
            return daemon;
        }
        let daemon = Arc::new(Self::start());
        *shared = Arc::downgrade(&daemon);
        daemon
    }

    fn start() -> Self {
        for program in ["dockerd", "containerd", "runc"] {
            // Started by other programs below, which could not say what is missing.
            Tool::new(program).arg("--version").run();
        }
        let dir = TestDir::new();
        fs::create_dir(dir.join("config")).expect("make a directory for docker's settings");
        let command = dockerd(&dir);
        let (end, ended) = mpsc::channel();
        let (log, failure) = mpsc::channel();
        // The kernel ends the daemon with the thread that has started it: a thread of its own, not some test's.
        let keeper = std::thread::spawn(move || keep(command, &ended, &log));
        let daemon = Self {
            end: Some(end),
            keeper: Some(keeper),
            dir,
        };
        daemon.wait_until_it_answers(&failure);
        for variant in Variant::ALL {
            daemon
                .docker(["load", "--quiet", "--input"])
                .arg(images().archive(variant))
                .run();
        }
        daemon
    }

    /// A call of docker's client.
    pub(crate) fn docker<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Tool {
        let tool = Tool::new("docker")
            .arg("--config")
            .arg(self.dir.join("config"));
        tool.args(["--host", &self.address()]).args(args)
    }

    /// The same as a command, for what runs long.
    pub(crate) fn docker_command(&self) -> Command {
        let mut command = Command::new("docker");
        command.arg("--config").arg(self.dir.join("config"));
        command.args(["--host", &self.address()]);
        command
    }

    /// The file that the runtime was given for a running container: docker's own profile and lists.
    pub(crate) fn bundle_config(&self, container: &str) -> PathBuf {
        let bundles = "exec/containerd/daemon/io.containerd.runtime.v2.task/moby";
        self.dir.join(bundles).join(container).join("config.json")
    }

    /// The control groups of this daemon's containers, which no other daemon on the machine has.
    pub(crate) fn cgroup_parent(&self) -> String {
        format!("/{}", self.dir.token())
    }

    fn address(&self) -> String {
        format!("unix://{}", self.dir.join("socket").display())
    }

    fn wait_until_it_answers(&self, failure: &Receiver<String>) {
        let deadline = Instant::now() + START_TIMEOUT;
        let ask = ["version", "--format", "{{.Server.Version}}"];
        while !self.docker(ask).output().status.success() {
            if let Ok(log) = failure.try_recv() {
                panic!("dockerd ended:\n{log}");
            }
            assert!(Instant::now() < deadline, "dockerd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(keeper) = self.keeper.take() {
            // A failure has been reported by the test that has waited for the daemon.
            let _ = keeper.join();
        }
        remove_cgroups(&self.cgroup_parent());
    }
}

/// Runs the daemon until it ends, which it tells, or until nobody wants it any more.
fn keep(command: Command, ended: &Receiver<()>, failure: &Sender<String>) {
    let mut daemon = Running::start("dockerd", command, LIFETIME);
    while let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_millis(50)) {
        if daemon.has_ended() {
            // Nobody listens once the daemon has answered; its clients fail then.
            let _ = failure.send(daemon.wait().stderr);
            return;
        }
    }
}

/// In namespaces of its own, so that with it go its containers, their keepers and every mount.
fn dockerd(dir: &TestDir) -> Command {
    let path = |name: &str| dir.join(name).display().to_string();
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
        .args(["--kill-child=KILL", "--mount-proc", "dockerd"])
        .args([
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
        ])
        .args([
            "--ip-masq=false",
            "--bridge=none",
            "--storage-driver=overlay2",
            // Where systemd runs, dockerd would ask it, and refuse a group of ours.
            "--exec-opt=native.cgroupdriver=cgroupfs",
        ])
        .args([
            "--log-level=warn",
            &format!("--cgroup-parent=/{}", dir.token()),
        ])
        .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
        .args(["--pidfile", &path("pid"), "--host"])
        .arg(format!("unix://{}", path("socket")));
    command
}

/// Removes the control groups that killed containers have left, in every hierarchy. The kernel takes a moment to empty
/// them after the last process; those that stay are empty and harmless.
fn remove_cgroups(parent: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten();
    let places = hierarchies.map(|entry| entry.path());
    let groups: Vec<PathBuf> = places
        .chain([root.to_owned()])
        .map(|place| place.join(parent.trim_start_matches('/')))
        .filter(|group| group.exists())
        .collect();
    let deadline = Instant::now() + CGROUP_PATIENCE;
    while groups.iter().any(|group| group.exists()) && Instant::now() < deadline {
        for group in &groups {
            let inner = walkdir::WalkDir::new(group).contents_first(true);
            for group in inner.into_iter().flatten() {
                if group.file_type().is_dir() {
                    let _ = fs::remove_dir(group.path());
                }
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
