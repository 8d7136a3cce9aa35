//! Where something is mounted below the root directory.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::sandbox::mountinfo::Mount;

/// Returns the mount points below the root directory, relative to it and sorted. The root's own mount is
/// none of them.
pub(in crate::sandbox) fn mount_points(mounts: &[Mount]) -> Vec<PathBuf> {
    let points: BTreeSet<PathBuf> = mounts.iter().filter_map(mount_point).collect();
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
    use crate::sandbox::mountinfo::mounts_of_this_process;

    #[test]
    fn mount_points_are_relative_and_the_root_is_none_of_them() {
        let mount = |point: &str| Mount {
            point: PathBuf::from(point),
            kind: "ext4".to_owned(),
            is_writable: true,
        };
        let mounts = [
            mount("/"),
            mount("/proc"),
            mount("/etc/old//deleted"),
            mount("/a b/c"),
            mount("/proc"),
        ];
        assert_eq!(mount_points(&mounts), ["a b/c", "proc"].map(PathBuf::from));
    }

    #[test]
    fn this_machine_has_a_mount_on_proc() {
        let points = mount_points(&mounts_of_this_process().unwrap());
        assert!(points.contains(&PathBuf::from("proc")));
    }
}
