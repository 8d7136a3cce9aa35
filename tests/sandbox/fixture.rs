//! An entered sandbox with a busybox image in it, and short ways to use it.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use sawagani::sandbox::{
    Command, EnterError, EnterOptions, Exit, FrozenStep, Isolation, ResolvedUser, Rootfs, RunError,
    Sandbox, Step, Stop, StorageChoice, StorageKind, Stream, Tree, enter, recover_root,
    resolve_user,
};

use crate::runner::STATE_VARIABLE;
use crate::setup::Setup;
use crate::tree::{assert_same, listing};

/// The directory in which this case's sandbox works; empty before and after.
pub(crate) fn state_dir() -> PathBuf {
    PathBuf::from(std::env::var(STATE_VARIABLE).unwrap())
}

/// The isolation that this case is about.
pub(crate) fn isolation() -> Isolation {
    Setup::of_this_process().isolation
}

/// A directory of the container that the builder uses while a command runs.
pub(crate) const KEPT: &str = "/own/kept";

/// Enters the case's isolation in the case's directory.
pub(crate) fn enter_here() -> Result<Sandbox, EnterError> {
    let setup = Setup::of_this_process();
    let options = EnterOptions {
        isolation: setup.isolation,
        storage: match setup.is_tree {
            true => StorageChoice::Tree,
            false => StorageChoice::Overlay,
        },
        state_dir: Some(state_dir()),
        allows_in_place: setup.isolation == Isolation::Inplace,
        kept: vec![PathBuf::from(KEPT)],
        ..EnterOptions::default()
    };
    recover_root(&options)?;
    enter(&options)
}

/// A sandbox and the root directory of a stage FROM a busybox image, which has neither `/proc` nor
/// `/etc/hosts`.
pub(crate) struct Fixture {
    pub(crate) sandbox: Sandbox,
    /// Without a layer where stages are trees.
    pub(crate) rootfs: Rootfs,
    tree: Option<Tree>,
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
        let mut fixture = Self {
            rootfs: Rootfs::new(&sandbox),
            tree: match sandbox.storage() {
                StorageKind::Layers(_) => None,
                StorageKind::Trees => Some(Tree::new(&sandbox).unwrap()),
            },
            sandbox,
            stop: Stop::new().unwrap(),
        };
        fixture.push(fill_with_busybox);
        fixture
    }

    /// Makes a layer of files on top of the image.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&Path)) {
        if let Some(tree) = &self.tree {
            return fill(tree.root().path());
        }
        let layer = self.sandbox.new_layer_dir().unwrap();
        fill(layer.path());
        self.rootfs.push_layer(layer);
    }

    /// Begins a step.
    pub(crate) fn step(&mut self) -> Step<'_> {
        match &mut self.tree {
            Some(tree) => Step::Tree(tree),
            None => Step::Overlay(self.rootfs.begin_step().unwrap()),
        }
    }

    /// Returns the plain tree.
    pub(crate) fn tree(&self) -> &Tree {
        self.tree.as_ref().expect("stages are trees here")
    }

    /// Runs `command` in a step. What it changed is discarded, but for trees.
    pub(crate) fn try_run(&mut self, command: &Command) -> Result<Outcome, RunError> {
        let stop = self.stop.clone();
        run_in(&mut self.step(), command, &stop)
    }

    /// Runs a shell script as root in a step. What it changed is discarded, but for trees.
    pub(crate) fn run(&mut self, script: &str) -> Outcome {
        self.try_run(&shell(script)).unwrap()
    }

    /// Runs a shell script that must succeed, and returns what it printed.
    pub(crate) fn output(&mut self, script: &str) -> String {
        succeeded(self.run(script))
    }

    /// Runs a command that must not change anything.
    pub(crate) fn run_without_a_trace(&mut self, command: &Command) -> Outcome {
        let stop = self.stop.clone();
        if let Some(tree) = &mut self.tree {
            let before = listing(tree.root().path());
            let outcome = run_in(&mut Step::Tree(tree), command, &stop).unwrap();
            assert_same(&before, &listing(tree.root().path()));
            return outcome;
        }
        let mut step = Step::Overlay(self.rootfs.begin_step().unwrap());
        let outcome = run_in(&mut step, command, &stop).unwrap();
        let frozen = freeze(step);
        assert_eq!(listing(frozen.upper.path()), [""; 0]);
        outcome
    }

    /// Runs a shell script that must succeed, and keeps what it changed.
    pub(crate) fn keep(&mut self, script: &str) -> FrozenStep {
        let mut step = Step::Overlay(self.rootfs.begin_step().unwrap());
        succeeded(run_in(&mut step, &shell(script), &self.stop).unwrap());
        freeze(step)
    }

    /// Looks a user up in the image.
    pub(crate) fn user(&mut self, name: &str) -> ResolvedUser {
        resolve_user(self.step().root().unwrap(), name).unwrap()
    }
}

/// Ends a step in layers.
pub(crate) fn freeze(step: Step<'_>) -> FrozenStep {
    let frozen = step.freeze().unwrap();
    frozen.expect("a tree's changes are not kept apart")
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
    let ended = step.run(command, stop, &mut |stream, bytes| match stream {
        Stream::Stdout => stdout.extend_from_slice(bytes),
        Stream::Stderr => stderr.extend_from_slice(bytes),
    })?;
    Ok(Outcome {
        exit: ended.exit,
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

pub(crate) fn fill_with_busybox(root: &Path) {
    let path = |name: &str| root.join(name);
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
