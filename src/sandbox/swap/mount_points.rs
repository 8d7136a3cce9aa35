//! Where something is mounted below the root directory.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sandbox::mountinfo::{Mount, parse};

/// Returns the mount points below the root directory, relative to it and sorted, from the text of
/// `/proc/self/mountinfo`. The root's own mount is none of them.
pub(in crate::sandbox) fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let points: BTreeSet<PathBuf> = parse(mountinfo).iter().filter_map(mount_point).collect();
    points.into_iter().collect()
}

fn mount_point(mount: &Mount) -> Option<PathBuf> {
    // What is mounted on a removed file cannot be reached by a path; the kernel marks it so.
    if mount.point.as_os_str().as_bytes().ends_with(b"//deleted") {
        return None;
    }
    let inside = mount.point.strip_prefix("/").ok()?;
    (inside != Path::new("")).then(|| inside.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_relative_and_the_root_is_none_of_them() {
        let text = b"\
22 1 0:21 / / rw,relatime - overlay overlay rw\n\
24 22 0:22 / /proc rw,nosuid - proc proc rw\n\
25 24 0:22 /sys /proc/sys ro,nosuid - proc proc rw\n\
30 22 8:1 /v/hosts /etc/hosts rw,relatime master:1 - ext4 /dev/sda1 rw\n\
31 22 8:1 /gone /etc/old//deleted rw - ext4 /dev/sda1 rw\n\
32 22 8:1 / /mnt/with\\040blank rw - ext4 /dev/sda1 rw\n\
33 32 8:1 / /proc rw - tmpfs tmpfs rw\n";
        let expected = ["etc/hosts", "mnt/with blank", "proc", "proc/sys"];
        assert_eq!(mount_points(text), expected.map(PathBuf::from));
    }

    #[test]
    fn this_machine_has_a_mount_on_proc() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        assert!(mount_points(&text).contains(&PathBuf::from("proc")));
    }
}
