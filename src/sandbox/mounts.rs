//! What a step sees besides the image's files: `/proc`, `/sys`, `/dev` and the network's files.
//!
//! This is policy, as a list of tasks; the step's first process carries them out. The choices are
//! those of container runtimes, so that a program finds in a RUN what it finds in a container.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sys::{MountFlags, Namespaces, Operation, Task};

use super::command::{Command, Network, ShownFile};
use super::places::{FilePlace, Places, PointKind};
use super::staging::{MountPlace, StagedMount, Staging, join};
use super::{Inner, Mode, room};

/// How many of [`shown_files`] come from the machine's network: they come first.
pub(super) const NETWORK_FILES: usize = 2;

/// Directories in `/proc` that change the machine when written to.
const PROC_READ_ONLY: [&str; 6] = ["asound", "bus", "fs", "irq", "sys", "sysrq-trigger"];
/// Files in `/proc` that tell about the machine what no build needs.
const PROC_MASKED_FILES: [&str; 5] = [
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "timer_list",
];
/// Directories in `/proc` that control hardware.
const PROC_MASKED_DIRS: [&str; 2] = ["acpi", "scsi"];
/// Directories in `/sys` that control hardware.
const SYS_MASKED_DIRS: [&str; 2] = ["firmware", "devices/virtual/powercap"];
/// Devices that every container has.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// Links that every container has in `/dev`, with what they lead to.
const DEV_LINKS: [(&str, &CStr); 5] = [
    ("fd", c"/proc/self/fd"),
    ("stdin", c"/proc/self/fd/0"),
    ("stdout", c"/proc/self/fd/1"),
    ("stderr", c"/proc/self/fd/2"),
    ("ptmx", c"pts/ptmx"),
];

/// Nothing in it can be executed, be a device, or give privileges.
const INERT: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);

/// Returns the files that are shown to `command`: the network's, then its own.
pub(super) fn shown_files(inner: &Inner, command: &Command) -> Vec<ShownFile> {
    let network_file = |target, contents| ShownFile {
        target: PathBuf::from(target),
        contents,
        mode: 0o644,
    };
    let network = &inner.network_files;
    let hostname = match inner.setting.has_hostnames() {
        true => &command.hostname,
        false => network.hostname(),
    };
    let mut files = vec![
        network_file("/etc/resolv.conf", network.resolv_conf()),
        network_file("/etc/hosts", network.hosts(hostname)),
    ];
    files.extend(command.files.iter().cloned());
    files
}

/// Returns the namespaces of a step that has mounts of its own. A step whose `/proc` must be the
/// builder's is among the builder's processes: with others' numbers in it, nothing would work.
pub(super) fn namespaces(inner: &Inner) -> Namespaces {
    if inner.setting.facts.can_mount_proc {
        Namespaces::All
    } else {
        Namespaces::AllButPids
    }
}

/// Returns what makes a plain directory a mount, to be done before [`tasks`].
pub(super) fn tree_tasks(root: &Path) -> Vec<Task> {
    let mut list = List::default();
    let purpose = "mount the root directory";
    list.push(purpose, recursive_bind(root, root));
    let target = c_path(root);
    let purpose = "forbid devices in the root directory";
    let what = MountFlags::NODEV;
    list.push(purpose, Operation::Forbid { target, what });
    list.tasks
}

/// Returns everything the step's first process does before it starts the command. `root` is where
/// the step's tree is mounted.
pub(super) fn tasks(
    inner: &Inner,
    root: &Path,
    places: &Places<'_>,
    staging: &Staging<'_>,
    command: &Command,
) -> Vec<Task> {
    let mut list = List::default();
    if inner.setting.has_hostnames() {
        let hostname = command.hostname.clone().into_bytes();
        list.push("set the host name", Operation::SetHostname(hostname));
    }
    match command.network {
        Network::Host => {}
        Network::None => list.push(
            "bring up the loopback interface",
            Operation::BringUpLoopback,
        ),
    }
    list.mount_proc(inner, &root.join(&places.proc));
    list.mount_sys(inner, &root.join(&places.sys));
    let dev = root.join(&places.dev);
    list.mount_dev(inner, &dev);
    list.show_files(&inner.dir().path().join(room::FILES), root, &dev, places);
    list.bind_mounts(inner, root, &dev, staging);
    let enter = if inner.setting.facts.can_pivot_root {
        Operation::EnterRoot(c_path(root))
    } else {
        Operation::CoverRoot(c_path(root))
    };
    list.push("enter the root directory", enter);
    list.change_dir(command);
    list.tasks
}

/// Returns what is done before a command that has no more of its own than its root directory.
pub(super) fn chroot_tasks(root: &Path, command: &Command) -> Vec<Task> {
    let mut list = List::default();
    let change = Operation::ChangeRoot(c_path(root));
    list.push("change the root directory", change);
    list.change_dir(command);
    list.tasks
}

/// Returns what is done before a command whose root directory is the builder's own.
pub(super) fn inplace_tasks(command: &Command) -> Vec<Task> {
    let mut list = List::default();
    list.change_dir(command);
    list.tasks
}

#[derive(Default)]
struct List {
    tasks: Vec<Task>,
}

impl List {
    fn push(&mut self, purpose: impl Into<String>, operation: Operation) {
        self.tasks.push(Task {
            purpose: purpose.into(),
            operation,
            may_be_absent: false,
        });
    }

    /// Adds a task for something that not every kernel has.
    fn push_if_present(&mut self, purpose: impl Into<String>, operation: Operation) {
        self.push(purpose, operation);
        if let Some(task) = self.tasks.last_mut() {
            task.may_be_absent = true;
        }
    }

    fn change_dir(&mut self, command: &Command) {
        let cwd = Path::new("/").join(&command.cwd);
        let purpose = format!("enter the working directory `{}`", cwd.display());
        self.push(purpose, Operation::ChangeDir(c_path(&cwd)));
    }

    fn mount_proc(&mut self, inner: &Inner, proc: &Path) {
        if inner.setting.facts.can_mount_proc {
            self.push("mount `/proc`", mount(c"proc", proc, INERT, c""));
        } else {
            self.push("show `/proc`", recursive_bind(Path::new("/proc"), proc));
        }
        for name in PROC_READ_ONLY {
            let path = proc.join(name);
            let purpose = format!("make `/proc/{name}` read-only");
            // Recursive: a container may have masked something below it.
            self.push_if_present(&purpose, recursive_bind(&path, &path));
            let target = c_path(&path);
            let recursive = true;
            self.push_if_present(purpose, Operation::ReadOnly { target, recursive });
        }
        for name in PROC_MASKED_FILES {
            let purpose = format!("mask `/proc/{name}`");
            let null = Path::new("/dev/null");
            self.push_if_present(purpose, bind(null, &proc.join(name)));
        }
        for name in PROC_MASKED_DIRS {
            let purpose = format!("mask `/proc/{name}`");
            self.push_if_present(purpose, empty_dir(&proc.join(name)));
        }
    }

    fn mount_sys(&mut self, inner: &Inner, sys: &Path) {
        let has_own = match inner.setting.mode {
            Mode::Ns => inner.setting.facts.can_mount_sysfs,
            // It belongs to who owns the network namespace, and that is shared.
            Mode::Userns(_) => false,
            Mode::Inplace | Mode::Chroot | Mode::None => false,
        };
        if has_own {
            let flags = INERT | MountFlags::RDONLY;
            self.push("mount `/sys`", mount(c"sysfs", sys, flags, c""));
        } else {
            self.push("show `/sys`", recursive_bind(Path::new("/sys"), sys));
            let operation = Operation::ReadOnly {
                target: c_path(sys),
                recursive: true,
            };
            self.push("make `/sys` read-only", operation);
        }
        for name in SYS_MASKED_DIRS {
            let purpose = format!("mask `/sys/{name}`");
            self.push_if_present(purpose, empty_dir(&sys.join(name)));
        }
    }

    fn mount_dev(&mut self, inner: &Inner, dev: &Path) {
        // The devices in it are mounts of their own, to which this mount's `nodev` does not apply.
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        let options = c"mode=755,size=65536k";
        self.push("mount `/dev`", mount(c"tmpfs", dev, flags, options));
        for name in DEVICES {
            let purpose = format!("show `/dev/{name}`");
            self.push(&purpose, empty_file(&dev.join(name), 0o666));
            let source = Path::new("/dev").join(name);
            self.push_if_present(purpose, bind(&source, &dev.join(name)));
        }
        for (name, text) in DEV_LINKS {
            let text = text.to_owned();
            let path = c_path(&dev.join(name));
            let purpose = format!("link `/dev/{name}`");
            self.push(purpose, Operation::Symlink { text, path });
        }
        let terminals = if inner.setting.has_tty_group {
            c"newinstance,ptmxmode=0666,mode=0620,gid=5"
        } else {
            c"newinstance,ptmxmode=0666,mode=0620"
        };
        let no_programs = MountFlags::NOSUID | MountFlags::NOEXEC;
        let pts = ("pts", c"devpts", no_programs, terminals);
        let shm = ("shm", c"tmpfs", INERT, c"mode=1777,size=65536k");
        let mqueue = ("mqueue", c"mqueue", INERT, c"");
        for (name, kind, flags, options) in [pts, shm, mqueue] {
            let purpose = format!("mount `/dev/{name}`");
            let path = dev.join(name);
            self.push(&purpose, create_dir(&path));
            self.push(purpose, mount(kind, &path, flags, options));
        }
    }

    /// Writes the files into a small file system that only this step sees, and binds each to its
    /// place: nothing has to be removed, and programs among them run whatever the work directory
    /// is mounted with.
    fn show_files(&mut self, store: &Path, root: &Path, dev: &Path, places: &Places<'_>) {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        let operation = mount(c"tmpfs", store, flags, c"mode=755");
        self.push("mount a file system for the step's files", operation);
        for (index, placed) in places.files.iter().enumerate() {
            let purpose = format!("show `{}`", placed.file.target.display());
            let source = store.join(index.to_string());
            let operation = Operation::WriteFile {
                path: c_path(&source),
                mode: placed.file.mode,
                contents: placed.file.contents.clone(),
            };
            self.push(&purpose, operation);
            let target = match &placed.place {
                FilePlace::Root(path) => root.join(path),
                FilePlace::Dev(path) => {
                    self.make_in_dev(&purpose, dev, path);
                    dev.join(path)
                }
            };
            self.push(&purpose, bind(&source, &target));
            self.push(purpose, read_only(&target));
        }
    }

    /// Binds what the step asked for, in an order in which none hides another.
    fn bind_mounts(&mut self, inner: &Inner, root: &Path, dev: &Path, staging: &Staging<'_>) {
        // In a user namespace, nothing that is mounted may be uncovered.
        let recursive = match inner.setting.mode {
            Mode::Userns(_) => true,
            Mode::Ns | Mode::Inplace | Mode::Chroot | Mode::None => false,
        };
        let mut targets: Vec<PathBuf> = Vec::new();
        for mount in staging.mounts() {
            let purpose = format!("mount `{}`", mount.target.display());
            let path = match &mount.place {
                MountPlace::Root(path) => root.join(path),
                MountPlace::Dev(path) => {
                    self.make_mount_point_in_dev(&purpose, dev, path, mount);
                    dev.join(path)
                }
                MountPlace::In(index, rest) => join(&targets[*index], rest),
            };
            let operation = Operation::Bind {
                source: c_path(&mount.source),
                target: c_path(&path),
                recursive,
            };
            self.push(&purpose, operation);
            // A disk of the machine's, which is not the root directory's mount.
            let (target, what) = (c_path(&path), mount.forbidden);
            self.push(&purpose, Operation::Forbid { target, what });
            if mount.is_read_only {
                let target = c_path(&path);
                self.push(purpose, Operation::ReadOnly { target, recursive });
            }
            targets.push(path);
        }
    }

    fn make_mount_point_in_dev(
        &mut self,
        purpose: &str,
        dev: &Path,
        path: &Path,
        mount: &StagedMount<'_>,
    ) {
        match mount.kind {
            PointKind::Directory => {
                self.make_dirs_in_dev(purpose, dev, path);
                self.push(purpose, create_dir(&dev.join(path)));
            }
            PointKind::File => self.make_in_dev(purpose, dev, path),
        }
    }

    /// Creates a mount point in the step's own `/dev`.
    fn make_in_dev(&mut self, purpose: &str, dev: &Path, path: &Path) {
        self.make_dirs_in_dev(purpose, dev, path);
        self.push(purpose, empty_file(&dev.join(path), 0o644));
    }

    fn make_dirs_in_dev(&mut self, purpose: &str, dev: &Path, path: &Path) {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.pop();
        for parent in above.into_iter().rev() {
            self.push(purpose, create_dir(&dev.join(parent)));
        }
    }
}

fn mount(kind: &'static CStr, target: &Path, flags: MountFlags, options: &CStr) -> Operation {
    Operation::Mount {
        kind,
        target: c_path(target),
        flags,
        options: options.to_owned(),
    }
}

fn bind(source: &Path, target: &Path) -> Operation {
    Operation::Bind {
        source: c_path(source),
        target: c_path(target),
        recursive: false,
    }
}

/// With what is mounted below: in a user namespace, nothing that is mounted may be uncovered.
fn recursive_bind(source: &Path, target: &Path) -> Operation {
    Operation::Bind {
        source: c_path(source),
        target: c_path(target),
        recursive: true,
    }
}

fn read_only(target: &Path) -> Operation {
    Operation::ReadOnly {
        target: c_path(target),
        recursive: false,
    }
}

fn empty_dir(target: &Path) -> Operation {
    mount(
        c"tmpfs",
        target,
        INERT | MountFlags::RDONLY,
        c"mode=555,size=4k",
    )
}

fn empty_file(path: &Path, mode: u32) -> Operation {
    Operation::WriteFile {
        path: c_path(path),
        mode,
        contents: Vec::new(),
    }
}

fn create_dir(path: &Path) -> Operation {
    Operation::CreateDir {
        path: c_path(path),
        mode: 0o755,
    }
}

/// Paths come from the kernel or were checked by [`super::run`]: none has a NUL.
fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap_or_default()
}
