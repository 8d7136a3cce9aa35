//! What the kernel says of a file, in the very bytes in which it says it to a program.

use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::io::Errno;

use super::alone::last_errno;

/// The bytes of a `struct stat` or a `struct statx`.
#[derive(Debug, Clone)]
pub struct KernelStat {
    bytes: Vec<u8>,
    layout: Layout,
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Stat,
    Statx,
}

impl KernelStat {
    /// Asks for the `struct stat` of an open file; an `O_PATH` descriptor will do.
    pub fn stat(file: BorrowedFd<'_>) -> Result<Self, Errno> {
        let mut bytes = vec![0; size_of::<libc::stat>()];
        // SAFETY: the buffer outlives the call and has the size of the kernel's structure, which on
        // the architectures of this crate is the C library's.
        let result = unsafe {
            libc::syscall(
                libc::SYS_newfstatat,
                file.as_raw_fd(),
                c"".as_ptr(),
                bytes.as_mut_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        Self::after(result, bytes, Layout::Stat)
    }

    /// Asks for the `struct statx` of an open file with the fields of `mask`.
    pub fn statx(file: BorrowedFd<'_>, flags: u32, mask: u32) -> Result<Self, Errno> {
        let mut bytes = vec![0; size_of::<libc::statx>()];
        // SAFETY: as above; this structure's size is fixed for ever.
        let result = unsafe {
            libc::syscall(
                libc::SYS_statx,
                file.as_raw_fd(),
                c"".as_ptr(),
                flags | libc::AT_EMPTY_PATH as u32,
                mask,
                bytes.as_mut_ptr(),
            )
        };
        Self::after(result, bytes, Layout::Statx)
    }

    fn after(result: libc::c_long, bytes: Vec<u8>, layout: Layout) -> Result<Self, Errno> {
        match result {
            0 => Ok(Self { bytes, layout }),
            _ => Err(last_errno()),
        }
    }

    /// Replaces owner and group.
    pub fn set_owner(&mut self, uid: u32, gid: u32) {
        let (uid_at, gid_at) = match self.layout {
            Layout::Stat => (
                offset_of!(libc::stat, st_uid),
                offset_of!(libc::stat, st_gid),
            ),
            Layout::Statx => (
                offset_of!(libc::statx, stx_uid),
                offset_of!(libc::statx, stx_gid),
            ),
        };
        self.put(uid_at, &uid.to_ne_bytes());
        self.put(gid_at, &gid.to_ne_bytes());
    }

    /// Turns the file into a device: `file_type` are the bits of the mode that say which kind.
    pub fn set_device(&mut self, file_type: u32, device: u64) {
        const TYPE_BITS: u32 = libc::S_IFMT;
        match self.layout {
            Layout::Stat => {
                let at = offset_of!(libc::stat, st_mode);
                let mut mode = [0; 4];
                mode.copy_from_slice(&self.bytes[at..at + 4]);
                let mode = u32::from_ne_bytes(mode) & !TYPE_BITS | file_type;
                self.put(at, &mode.to_ne_bytes());
                self.put(offset_of!(libc::stat, st_rdev), &device.to_ne_bytes());
            }
            Layout::Statx => {
                let at = offset_of!(libc::statx, stx_mode);
                let mut mode = [0; 2];
                mode.copy_from_slice(&self.bytes[at..at + 2]);
                let mode = u32::from(u16::from_ne_bytes(mode)) & !TYPE_BITS | file_type;
                self.put(at, &(mode as u16).to_ne_bytes());
                let major = rustix::fs::major(device);
                let minor = rustix::fs::minor(device);
                self.put(
                    offset_of!(libc::statx, stx_rdev_major),
                    &major.to_ne_bytes(),
                );
                self.put(
                    offset_of!(libc::statx, stx_rdev_minor),
                    &minor.to_ne_bytes(),
                );
            }
        }
    }

    /// Returns the bytes for the program.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        self.bytes[at..at + value.len()].copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_put_in_reads_back_and_the_rest_stays() {
        let file = tempfile::tempfile().unwrap();
        let before = KernelStat::stat(file.as_fd()).unwrap();
        let mut stat = before.clone();
        stat.set_owner(7, 8);
        stat.set_device(libc::S_IFCHR, rustix::fs::makedev(1, 3));
        // SAFETY: the kernel filled the bytes in; all patterns of the integers in it are valid.
        let read = |stat: &KernelStat| unsafe {
            stat.bytes().as_ptr().cast::<libc::stat>().read_unaligned()
        };
        let (before, after) = (read(&before), read(&stat));
        assert_eq!((after.st_uid, after.st_gid), (7, 8));
        assert_eq!(after.st_mode, libc::S_IFCHR | before.st_mode & 0o7777);
        assert_eq!(after.st_rdev, 0x103);
        assert_eq!(
            (after.st_ino, after.st_size),
            (before.st_ino, before.st_size)
        );
        assert_eq!(after.st_mtime, before.st_mtime);
    }

    #[test]
    fn statx_is_changed_in_its_own_places() {
        let file = tempfile::tempfile().unwrap();
        let mut stat = KernelStat::statx(file.as_fd(), 0, libc::STATX_BASIC_STATS).unwrap();
        stat.set_owner(70_000, 8);
        stat.set_device(libc::S_IFBLK, rustix::fs::makedev(259, 70_000));
        // SAFETY: as above.
        let after = unsafe { stat.bytes().as_ptr().cast::<libc::statx>().read_unaligned() };
        assert_eq!((after.stx_uid, after.stx_gid), (70_000, 8));
        assert_eq!(u32::from(after.stx_mode) & libc::S_IFMT, libc::S_IFBLK);
        assert_eq!((after.stx_rdev_major, after.stx_rdev_minor), (259, 70_000));
    }
}
