//! A single-id user namespace that this process entered, a tree, and a ledger that says whose its files are.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags};
use sawagani::fs::{FileKind, Inode, Ledger, Rights};
use sawagani::sandbox::{EmulationSummary, Identity, OwnerEmulation};
use sawagani::sys::{
    self, Capabilities, Filter, Interception, Interest, Launch, MountFlags, Namespaces, Operation,
    Program, Report, Task,
};

use crate::runner::ID;
use crate::trees::{OWNERS, ROOT};

/// What containers give to root.
const CAPABILITIES: u64 = 0xa804_25fb;

pub(crate) struct Fixture {
    root: PathBuf,
    pub(crate) ledger: Arc<Ledger>,
}

/// How a command ended, what it said, and how its calls were answered.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) report: Option<Report>,
    pub(crate) stdout: String,
    #[allow(dead_code, reason = "shown when a command fails")]
    pub(crate) stderr: String,
    pub(crate) summary: EmulationSummary,
}

impl Fixture {
    /// Enters the namespace: root in it is the user who calls.
    pub(crate) fn enter(dir: &Path) -> Self {
        sys::enter_user_and_mount_namespace().unwrap();
        std::fs::write("/proc/self/setgroups", "deny").unwrap();
        std::fs::write("/proc/self/uid_map", format!("0 {ID} 1")).unwrap();
        std::fs::write("/proc/self/gid_map", format!("0 {ID} 1")).unwrap();
        sys::make_all_private().unwrap();
        let root = dir.join(ROOT);
        let ledger = Ledger::new(Rights::OneId);
        for line in std::fs::read_to_string(dir.join(OWNERS)).unwrap().lines() {
            let mut fields = line.splitn(3, ' ');
            let mut number = || fields.next().unwrap().parse().unwrap();
            let owner = (Some(number()), Some(number()));
            let inode = inode_of(&root.join(fields.next().unwrap()));
            ledger.set_owner(&inode, owner.0, owner.1);
        }
        Self {
            root,
            ledger: Arc::new(ledger),
        }
    }

    /// Runs a shell script as root, which must succeed, and returns what it printed.
    pub(crate) fn output(&self, script: &str) -> String {
        succeeded(self.run(script))
    }

    /// Runs a shell script as root.
    pub(crate) fn run(&self, script: &str) -> Outcome {
        self.run_as(0, 0, &[], &["/bin/sh", "-c", script])
    }

    /// Runs a program as a user.
    pub(crate) fn run_as(&self, uid: u32, gid: u32, groups: &[u32], argv: &[&str]) -> Outcome {
        let identity = Identity::new(uid, gid, groups);
        let emulation = OwnerEmulation::start(Arc::clone(&self.ledger), identity).unwrap();
        let program = program(uid, gid, groups, argv);
        let mut outcome = self.launch(&program, emulation.interception());
        outcome.summary = emulation.finish();
        outcome
    }

    /// Runs a program as root, all of whose calls the kernel answers.
    pub(crate) fn run_unanswered(&self, argv: &[&str]) -> Outcome {
        let filter = Filter::new(|_| Interest::Never);
        let (socket, _ours) = UnixStream::pair().unwrap();
        let interception = Interception {
            filter: &filter,
            socket: socket.as_fd(),
        };
        self.launch(&program(0, 0, &[], argv), interception)
    }

    fn launch(&self, program: &Program, interception: Interception<'_>) -> Outcome {
        let running = sys::launch(&Launch {
            tasks: &self.tasks(),
            program,
            capabilities: Capabilities::from_bits_retain(CAPABILITIES),
            namespaces: Namespaces::All,
            own_network: false,
            argument_area: None,
            interception: Some(interception),
            held: None,
        })
        .unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let end = running.end();
            let mut fds = [
                PollFd::new(&end, PollFlags::IN),
                PollFd::new(running.stdout(), PollFlags::IN),
                PollFd::new(running.stderr(), PollFlags::IN),
            ];
            // Closed pipes are always ready: look again in a moment.
            rustix::event::poll(&mut fds, None).unwrap();
            let has_ended = !fds[0].revents().is_empty();
            let is_closed = fds[1].revents() == PollFlags::HUP;
            read_what_is_there(running.stdout(), &mut stdout);
            read_what_is_there(running.stderr(), &mut stderr);
            if has_ended {
                break;
            }
            if is_closed {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        Outcome {
            report: running.wait(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
            summary: EmulationSummary::default(),
        }
    }

    /// Returns the recorded owner of a file.
    pub(crate) fn owner(&self, path: &str) -> (u32, u32) {
        self.ledger.owner(&inode_of(&self.path(path)))
    }

    /// Returns the recorded device that a file stands for.
    pub(crate) fn device(&self, path: &str) -> Option<FileKind> {
        self.ledger.get(&inode_of(&self.path(path)))?.device
    }

    /// Returns the real mode bits of a file.
    pub(crate) fn mode(&self, path: &str) -> u32 {
        use std::os::unix::fs::MetadataExt;
        self.path(path).symlink_metadata().unwrap().mode() & 0o7777
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn tasks(&self) -> Vec<Task> {
        let c_path = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
        let bind = |source: &Path, target: &Path| Operation::Bind {
            source: c_path(source),
            target: c_path(target),
            recursive: true,
        };
        let root = &self.root;
        let operations = [
            bind(root, root),
            bind(Path::new("/dev"), &root.join("dev")),
            Operation::Mount {
                kind: c"proc",
                target: c_path(&root.join("proc")),
                flags: MountFlags::empty(),
                options: CString::default(),
            },
            Operation::EnterRoot(c_path(root)),
            Operation::ChangeDir(c"/tmp".to_owned()),
        ];
        let task = |operation| Task {
            purpose: format!("{operation:?}"),
            operation,
            may_be_absent: false,
        };
        operations.map(task).into()
    }
}

fn program(uid: u32, gid: u32, groups: &[u32], argv: &[&str]) -> Program {
    let c_string = |text: &str| CString::new(text).unwrap();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Program {
        candidates: vec![c_string(argv[0])],
        arguments: argv.iter().map(|text| c_string(text)).collect(),
        environment: [path, "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"]
            .map(c_string)
            .to_vec(),
        uid,
        gid,
        groups: groups.to_vec(),
    }
}

/// Returns what a command printed that must have succeeded, and whose calls must all have been answered.
pub(crate) fn succeeded(outcome: Outcome) -> String {
    assert_eq!(outcome.report, Some(Report::Exited(0)), "{outcome:#?}");
    assert_eq!(outcome.summary.warnings, [""; 0], "{outcome:#?}");
    outcome.stdout
}

fn inode_of(path: &Path) -> Inode {
    let dir = File::open(path.parent().unwrap()).unwrap();
    match path.file_name() {
        Some(name) => Inode::of_name(&dir, name).unwrap(),
        None => Inode::of(&dir).unwrap(),
    }
}

fn read_what_is_there(mut from: &File, to: &mut Vec<u8>) {
    match from.read_to_end(to) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
    }
}
