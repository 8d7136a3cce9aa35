//! Where something is mounted, as the kernel lists it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Returns the mount points below the root directory, relative to it and sorted, from the text of
/// `/proc/self/mountinfo`. The root's own mount is none of them.
pub(in crate::sandbox) fn mount_points(mountinfo: &[u8]) -> Vec<PathBuf> {
    let points: BTreeSet<PathBuf> = mountinfo
        .split(|byte| *byte == b'\n')
        .filter_map(mount_point)
        .collect();
    points.into_iter().collect()
}

/// Returns the mount point of one line: the fifth field (proc_pid_mountinfo(5)).
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    // What is mounted on a removed file cannot be reached by a path.
    if field.ends_with(b"//deleted") {
        return None;
    }
    let path = PathBuf::from(OsString::from_vec(unescape(field)));
    let inside = path.strip_prefix("/").ok()?;
    (inside != Path::new("")).then(|| inside.to_path_buf())
}

/// Replaces `\040` and its like: the kernel writes blanks, line ends and backslashes so.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        match escaped_byte(rest) {
            Some(escaped) => {
                plain.push(escaped);
                rest = &rest[4..];
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

fn escaped_byte(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"\\")?.get(..3)?;
    digits.iter().try_fold(0_u8, |number, digit| {
        let digit = char::from(*digit).to_digit(8)?;
        number
            .checked_mul(8)?
            .checked_add(u8::try_from(digit).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_unescaped_and_relative_and_the_root_is_none_of_them() {
        let text = b"\
22 1 0:21 / / rw,relatime - overlay overlay rw\n\
24 22 0:22 / /proc rw,nosuid - proc proc rw\n\
25 24 0:22 /sys /proc/sys ro,nosuid - proc proc rw\n\
30 22 8:1 /v/hosts /etc/hosts rw,relatime master:1 - ext4 /dev/sda1 rw\n\
31 22 8:1 /gone /etc/old//deleted rw - ext4 /dev/sda1 rw\n\
32 22 8:1 / /mnt/with\\040blank\\134and\\011more rw - ext4 /dev/sda1 rw\n\
33 32 8:1 / /proc rw - tmpfs tmpfs rw\n\
34 22 8:1 / /odd\\9\\77 rw - tmpfs tmpfs rw\n";
        let expected = [
            "etc/hosts",
            "mnt/with blank\\and\tmore",
            "odd\\9\\77",
            "proc",
            "proc/sys",
        ];
        assert_eq!(mount_points(text), expected.map(PathBuf::from));
        assert!(mount_points(b"").is_empty());
    }

    #[test]
    fn this_machine_has_a_mount_on_proc() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        assert!(mount_points(&text).contains(&PathBuf::from("proc")));
    }
}
