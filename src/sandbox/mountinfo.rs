//! What is mounted, by the text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// File systems on a disk of this machine: files of a build may lie on them.
const LOCAL_KINDS: [&str; 9] = [
    "bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "xfs", "zfs",
];

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where, from this process's root directory.
    pub(super) point: PathBuf,
    /// The type of the file system: "ext4".
    pub(super) kind: String,
    /// Neither the mount nor its file system is read-only.
    pub(super) is_writable: bool,
}

impl Mount {
    /// Says whether it may hold the files of a build, as far as its type tells.
    pub(super) fn is_local_disk(&self) -> bool {
        self.is_writable && LOCAL_KINDS.contains(&self.kind.as_str())
    }
}

/// Reads the mounts of this process, in the order in which they were made.
pub(super) fn mounts_of_this_process() -> std::io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// Lines that are not understood are passed over: the kernel may add forms.
pub(super) fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    // "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw,errors=continue"
    let mut fields = line.split(|byte| *byte == b' ');
    let point = fields.nth(4)?;
    let options = fields.next()?;
    let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
    let kind = fields.next()?;
    let of_file_system = fields.nth(1)?;
    Some(Mount {
        point: PathBuf::from(OsString::from_vec(unescape(point))),
        kind: String::from_utf8_lossy(kind).into_owned(),
        is_writable: !is_read_only(options) && !is_read_only(of_file_system),
    })
}

fn is_read_only(options: &[u8]) -> bool {
    options
        .split(|byte| *byte == b',')
        .any(|option| option == b"ro")
}

/// The kernel writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let byte = digits.and_then(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(text, 8).ok()
        });
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[3..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"\
        22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        27 1 254:0 / / rw,relatime - overlay overlay rw,lowerdir=/a,upperdir=/b\n\
        30 27 254:1 /pods/x /builds\\040of\\134mine rw,relatime shared:3 master:4 - ext4 /dev/vda rw,discard\n\
        31 27 254:1 /etc/hosts /etc/hosts ro,relatime - ext4 /dev/vda rw\n\
        32 27 254:2 / /media rw - xfs /dev/vdb ro\n\
        nonsense\n\n";

    #[test]
    fn points_types_and_rights_are_read() {
        let mounts = parse(TEXT);
        let points: Vec<&str> = mounts
            .iter()
            .map(|mount| mount.point.to_str().unwrap())
            .collect();
        assert_eq!(
            points,
            ["/proc", "/", "/builds of\\mine", "/etc/hosts", "/media"]
        );
        let local: Vec<bool> = mounts.iter().map(Mount::is_local_disk).collect();
        assert_eq!(local, [false, false, true, false, false]);
        assert_eq!(mounts[1].kind, "overlay");
    }

    #[test]
    fn a_backslash_without_digits_stays() {
        assert_eq!(unescape(b"a\\04"), b"a\\04");
        assert_eq!(unescape(b"\\011\\012x"), b"\t\nx");
    }
}
