//! Who the owners of files are to this process: what files of another time or another process can be compared with.

use crate::fs::{PathContext, PathError};

use super::isolation::Ids;
use super::userns::{IdMaps, enter_user_namespace};

/// The text of this process's maps of users and groups. Files that were made under other maps belong to others here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerMaps {
    /// Of user ids, as the kernel shows it.
    pub users: String,
    /// Of group ids.
    pub groups: String,
}

/// Lines of a map of which samples are taken.
const SAMPLED_LINES: usize = 8;

impl OwnerMaps {
    pub(super) fn of_this_process() -> Result<Self, PathError> {
        let read = |path: &str| std::fs::read_to_string(path).on("read", path);
        Ok(Self {
            users: read("/proc/self/uid_map")?,
            groups: read("/proc/self/gid_map")?,
        })
    }

    /// Returns users and groups that tell these maps from others which look the same from here: the first and the last of
    /// each line, in pairs. In a namespace within a namespace, the text does not say who they are outside of both.
    pub fn samples(&self) -> Vec<(u32, u32)> {
        let (users, groups) = (ends(&self.users), ends(&self.groups));
        let (Some(last_user), Some(last_group)) = (users.last(), groups.last()) else {
            return Vec::new();
        };
        let at = |ids: &[u32], last: u32, place: usize| ids.get(place).copied().unwrap_or(last);
        (0..users.len().max(groups.len()))
            .map(|place| {
                (
                    at(&users, *last_user, place),
                    at(&groups, *last_group, place),
                )
            })
            .collect()
    }
}

/// Returns the first and the last id of each line.
fn ends(map: &str) -> Vec<u32> {
    let lines = map.lines().take(SAMPLED_LINES);
    let mut ends: Vec<u32> = lines
        .flat_map(|line| {
            let numbers: Vec<u32> = line
                .split_ascii_whitespace()
                .filter_map(|number| number.parse().ok())
                .collect();
            match numbers[..] {
                [first, _, count] if count > 0 => vec![first, first.saturating_add(count - 1)],
                _ => Vec::new(),
            }
        })
        .collect();
    ends.dedup();
    ends
}

/// Makes the files of this user's builds ones that this process may remove: those of a subordinate range belong to nobody
/// outside of a user namespace. Root need not become anybody, and where there is no range, there are no such files.
///
/// Must be called before the process has other threads.
pub fn become_owner() {
    if rustix::process::geteuid().is_root() {
        return;
    }
    let entered = IdMaps::new(Ids::Range).and_then(|maps| enter_user_namespace(&maps));
    if let Err(failure) = entered {
        tracing::debug!(%failure, "files of other users are not this one's");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_the_ends_of_each_line() {
        let maps = OwnerMaps {
            users: "         0       1000          1\n         1     100000      65536\n"
                .to_owned(),
            groups: "0 0 4294967295\n".to_owned(),
        };
        let last = 4_294_967_294;
        assert_eq!(maps.samples(), [(0, 0), (1, last), (65536, last)]);
        let none = OwnerMaps {
            users: String::new(),
            groups: String::new(),
        };
        assert!(none.samples().is_empty());
    }

    #[test]
    fn this_process_has_maps() {
        assert!(!OwnerMaps::of_this_process().unwrap().samples().is_empty());
    }
}
