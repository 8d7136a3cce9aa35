//! Which container this is, from its start to its end: a note of what another one had is of no use.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fs::{PathError, Root};

use super::DEV;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const FIRST_PROCESS: &str = "/proc/1/stat";
const MOUNTS: &str = "/proc/self/ns/mnt";

/// Number of the start time among the fields after the program's name (proc_pid_stat(5): 22 of all, and the name is 2).
const START_TIME: usize = 22 - 3;

/// A container may be started again with the same files, and a volume with our notes may be mounted in another one. Each
/// time it has a new first process, new mounts, and a new `/dev`.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Container {
    boot: Option<String>,
    /// In ticks since the machine has started.
    first_process: Option<String>,
    mount_namespace: Option<String>,
    /// Device and inode of `/dev`.
    devices: Option<(u64, u64)>,
}

impl Container {
    pub(super) fn look(root: &Root) -> Result<Self, PathError> {
        let devices = root.dir().metadata_of(Path::new(DEV).as_os_str())?;
        let namespace = std::fs::read_link(MOUNTS).ok();
        Ok(Self {
            boot: std::fs::read_to_string(BOOT_ID).ok(),
            first_process: std::fs::read_to_string(FIRST_PROCESS)
                .ok()
                .and_then(|text| start_time(&text)),
            mount_namespace: namespace.map(|text| text.to_string_lossy().into_owned()),
            devices: devices.map(|found| (found.dev, found.ino)),
        })
    }

    /// What cannot be known, as where `/proc` is masked, could be anything.
    pub(super) fn is_surely(&self, other: &Self) -> bool {
        let is_known =
            self.boot.is_some() && self.first_process.is_some() && self.mount_namespace.is_some();
        is_known && self == other
    }
}

/// The name of the program is in parentheses and may hold anything.
fn start_time(stat: &str) -> Option<String> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(START_TIME).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_is_told_by_its_start() {
        let fields: Vec<String> = (3..30).map(|number| format!("f{number}")).collect();
        let stat = format!("1 (a) b (c) {}", fields.join(" "));
        assert_eq!(start_time(&stat).as_deref(), Some("f22"));
        assert_eq!(start_time("1 (sh) S 0"), None);
    }

    #[test]
    fn what_is_not_known_is_no_proof() {
        let known = || Container {
            boot: Some("b".to_owned()),
            first_process: Some("7".to_owned()),
            mount_namespace: Some("mnt:[1]".to_owned()),
            devices: None,
        };
        assert!(known().is_surely(&known()));
        let later = Container {
            first_process: Some("8".to_owned()),
            ..known()
        };
        assert!(!known().is_surely(&later));
        let masked = || Container {
            boot: None,
            ..known()
        };
        assert!(!masked().is_surely(&masked()));
    }
}
