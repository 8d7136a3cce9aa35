//! An entered sandbox with a busybox image in it, and short ways to use it.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use sawagani::sandbox::{
    Command, EnterError, EnterOptions, Exit, FrozenStep, Isolation, LayerDir, Rootfs, RunError,
    Sandbox, Step, Stop, Stream, enter,
};

use crate::runner::{ISOLATION_VARIABLE, STATE_VARIABLE};

/// The directory in which this case's sandbox works; empty before and after.
pub(crate) fn state_dir() -> PathBuf {
    PathBuf::from(std::env::var(STATE_VARIABLE).unwrap())
}

/// The isolation that this case is about.
pub(crate) fn isolation() -> Isolation {
    std::env::var(ISOLATION_VARIABLE).unwrap().parse().unwrap()
}

/// Enters the case's isolation in the case's directory.
pub(crate) fn enter_here() -> Result<Sandbox, EnterError> {
    enter(&EnterOptions {
        isolation: isolation(),
        state_dir: Some(state_dir()),
        state_dir_candidates: Vec::new(),
    })
}

/// A sandbox and the root directory of a stage FROM a busybox image, which has neither `/proc` nor
/// `/etc/hosts`.
pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
    pub(crate) rootfs: Rootfs,
    pub(crate) stop: Stop,
}

/// How a command ended and what it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let sandbox = enter_here().unwrap_or_else(|error| panic!("{error} {:?}", error.hints()));
        let layer = sandbox.new_layer_dir().unwrap();
        fill_with_busybox(&layer);
        let mut rootfs = Rootfs::new(&sandbox);
        rootfs.push_layer(layer);
        Self {
            sandbox,
            rootfs,
            stop: Stop::new().unwrap(),
        }
    }

    /// Makes a layer of files on top of the image.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&Path)) {
        let layer = self.sandbox.new_layer_dir().unwrap();
        fill(layer.path());
        self.rootfs.push_layer(layer);
    }

    /// Runs `command` in a step and discards what it changed.
    pub(crate) fn try_run(&mut self, command: &Command) -> Result<Outcome, RunError> {
        let mut step = self.rootfs.begin_step()?;
        run_in(&mut step, command, &self.stop)
    }

    /// Runs a shell script as root in a step and discards what it changed.
    pub(crate) fn run(&mut self, script: &str) -> Outcome {
        self.try_run(&shell(script)).unwrap()
    }

    /// Runs a shell script that must succeed, and returns what it printed.
    pub(crate) fn output(&mut self, script: &str) -> String {
        succeeded(self.run(script))
    }

    /// Runs a shell script that must succeed, and keeps what it changed.
    pub(crate) fn keep(&mut self, script: &str) -> FrozenStep {
        let mut step = self.rootfs.begin_step().unwrap();
        succeeded(run_in(&mut step, &shell(script), &self.stop).unwrap());
        step.freeze().unwrap()
    }
}

/// Returns what a command printed that must have succeeded.
pub(crate) fn succeeded(outcome: Outcome) -> String {
    assert_eq!(outcome.exit, Exit::Code(0), "{outcome:?}");
    outcome.stdout
}

/// Runs `command` in `step`.
pub(crate) fn run_in(
    step: &mut Step<'_>,
    command: &Command,
    stop: &Stop,
) -> Result<Outcome, RunError> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let exit = step.run(command, stop, &mut |stream, bytes| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    })?;
    Ok(Outcome {
        exit,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// A shell script as root with a PATH.
pub(crate) fn shell(script: &str) -> Command {
    let mut command = Command::new(["/bin/sh", "-c", script]);
    command.env = vec![("PATH".into(), "/bin".into())];
    command
}

fn fill_with_busybox(layer: &LayerDir) {
    let path = |name: &str| layer.path().join(name);
    for name in ["bin", "etc", "home", "tmp"] {
        std::fs::create_dir(path(name)).unwrap();
        std::fs::set_permissions(path(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    std::fs::set_permissions(path("tmp"), PermissionsExt::from_mode(0o1777)).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"];
    let busybox = busybox
        .iter()
        .find(|file| Path::new(file).exists())
        .unwrap();
    std::fs::copy(busybox, path("bin/busybox")).unwrap();
    std::fs::set_permissions(path("bin/busybox"), PermissionsExt::from_mode(0o755)).unwrap();
    let list = std::process::Command::new(busybox)
        .arg("--list")
        .output()
        .unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines() {
        if applet != "busybox" && applet != "su" {
            symlink("busybox", path("bin").join(applet)).unwrap();
        }
    }
    // A program that works only with its owner's rights, and a root without password for it.
    std::fs::copy(busybox, path("bin/su")).unwrap();
    chown(path("bin/su"), Some(0), Some(0)).unwrap();
    std::fs::set_permissions(path("bin/su"), PermissionsExt::from_mode(0o4755)).unwrap();
    std::fs::write(path("etc/shadow"), "root::19000:0:99999:7:::\n").unwrap();
    let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home:/bin/sh\n";
    std::fs::write(path("etc/passwd"), passwd).unwrap();
    std::fs::write(
        path("etc/group"),
        "root:x:0:\napp:x:1000:\nvideo:x:44:app\n",
    )
    .unwrap();
}
