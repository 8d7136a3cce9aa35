//! Real servers that stand for object stores, on loopback: moto (S3), Azurite (Azure Blob Storage) and
//! gcp-storage-emulator. `stores/install` fetches them, `stores/stores.py` starts and fills them, once for a test program.

use super::cache;
use super::process::Running;
use super::test_dir::TestDir;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// The bucket, or container, that every store has.
pub(crate) const BUCKET: &str = "contexts";

const PROGRAM: &str = include_str!("stores/stores.py");

/// Longer than any test: the servers end with the test program.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

static STORES: OnceLock<Stores> = OnceLock::new();

/// Where the stores are, and what opens them.
pub(crate) struct Stores(BTreeMap<String, String>);

impl Stores {
    /// Starts the stores with these files, given by name, in each. Later calls get the same ones.
    pub(crate) fn with(files: impl FnOnce() -> Vec<(&'static str, Vec<u8>)>) -> &'static Self {
        STORES.get_or_init(|| {
            let files = files();
            let (sent, received) = channel();
            // The kernel ends the servers with the thread that started them: one that stays.
            std::thread::spawn(move || serve(&files, &sent));
            let printed = received.recv().expect("the stores did not start");
            let values = printed.lines().filter_map(|line| line.split_once(' '));
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            Self(values.map(owned).collect())
        })
    }

    /// A value that `stores.py` prints.
    pub(crate) fn get(&self, name: &str) -> &str {
        &self.0[name]
    }
}

fn serve(files: &[(&str, Vec<u8>)], sent: &Sender<String>) {
    let dir = TestDir::new();
    for place in ["files", "data"] {
        std::fs::create_dir(dir.join(place)).expect("make a directory");
    }
    for (name, contents) in files {
        std::fs::write(dir.join("files").join(name), contents).expect("write a file");
    }
    let program = dir.join("stores.py");
    std::fs::write(&program, PROGRAM).expect("write the servers' program");
    let servers = installed();
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL"])
        .arg(servers.join("python/bin/python"))
        .arg(program)
        .arg(&servers)
        .arg(dir.join("files"))
        .arg(dir.join("data"));
    let mut server = Running::start("setpriv", command, LIFETIME);
    server.wait_for_output("ready\n");
    drop(dir);
    sent.send(server.stdout_so_far()).expect("a test waits");
    loop {
        std::thread::park();
    }
}

fn installed() -> PathBuf {
    let servers = cache::directory().join("object-stores");
    let install = Path::new("tests/support/stores/install");
    assert!(
        servers.join("version").exists(),
        "the servers that stand for object stores are missing: run `{} {}`, or `.ci/run`, which installs all",
        install.display(),
        servers.display()
    );
    servers
}
