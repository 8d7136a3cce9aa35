//! What a build may leave behind when it is over: no process, no mount, no working directory.
//!
//! A test's directory has a name found nowhere else, so whatever carries that name belongs to the test.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long what was killed may take to be gone: the kernel takes down a namespace after its last process.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found; empty everywhere when nothing was left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leaks {
    /// `PID COMMAND` of each process that names the token in its arguments, environment, or open places.
    pub(crate) processes: Vec<String>,
    /// Lines of any process's mount table that name the token.
    pub(crate) mounts: Vec<String>,
    /// Working directories in the state directory.
    pub(crate) directories: Vec<String>,
}

impl Leaks {
    /// Looks for `token` among processes and mounts, and for working directories below `state_dir`.
    pub(crate) fn now(token: &str, state_dir: &Path) -> Self {
        let mut leaks = Self::default();
        for pid in process_ids() {
            leaks.look_at_process(&pid, token);
        }
        leaks.mounts.sort();
        leaks.mounts.dedup();
        leaks.directories = working_directories(state_dir);
        leaks
    }

    /// Like `now`, but gives what was just killed time to disappear.
    pub(crate) fn settled(token: &str, state_dir: &Path) -> Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leaks = Self::now(token, state_dir);
            if leaks.is_empty() || Instant::now() > deadline {
                return leaks;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn look_at_process(&mut self, pid: &str, token: &str) {
        let proc_dir = Path::new("/proc").join(pid);
        let read = |name: &str| fs::read(proc_dir.join(name)).unwrap_or_default();
        let own = pid == std::process::id().to_string();
        let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
        let places = ["cwd", "root", "exe"]
            .map(|name| fs::read_link(proc_dir.join(name)).unwrap_or_default());
        let is_named = command.contains(token)
            || String::from_utf8_lossy(&read("environ")).contains(token)
            || places
                .iter()
                .any(|place| place.to_string_lossy().contains(token));
        if is_named && !own {
            self.processes.push(format!("{pid} {command}"));
        }
        let mounts = String::from_utf8_lossy(&read("mountinfo")).into_owned();
        self.mounts.extend(
            mounts
                .lines()
                .filter(|line| line.contains(token))
                .map(str::to_owned),
        );
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, found) in [
            ("process", &self.processes),
            ("mount", &self.mounts),
            ("working directory", &self.directories),
        ] {
            for one in found {
                writeln!(f, "{what} left behind: {one}")?;
            }
        }
        Ok(())
    }
}

fn process_ids() -> Vec<String> {
    let entries = fs::read_dir("/proc").expect("read /proc");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .collect()
}

/// The executor's working directories are called `sawagani-*`; what else lies in its state directory may stay.
fn working_directories(state_dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(state_dir) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.expect("read the state directory").file_name());
    let mut found: Vec<String> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    found.retain(|name| name.starts_with("sawagani-"));
    found.sort();
    found
}
