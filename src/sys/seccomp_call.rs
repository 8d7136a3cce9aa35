//! The numbers of the system calls that can be answered for a process, in each of its dialects.
//!
//! A 64-bit x86 kernel runs 32-bit programs too, which number their calls differently: a filter that
//! knew one table only could be walked around by a program of the other kind.

/// The dialect in which a process calls the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// That of this program.
    Native,
    /// That of 32-bit programs on a 64-bit x86.
    I386,
}

/// A system call that can be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    missing_docs,
    reason = "each is the call of that name in section 2 of the manual"
)]
pub enum Call {
    Chown,
    Lchown,
    Fchown,
    Fchownat,
    Setuid,
    Setgid,
    Setreuid,
    Setregid,
    Setresuid,
    Setresgid,
    Setfsuid,
    Setfsgid,
    Setgroups,
    Getuid,
    Geteuid,
    Getgid,
    Getegid,
    Getresuid,
    Getresgid,
    Getgroups,
    Open,
    Openat,
    Openat2,
    Creat,
    Mkdir,
    Mkdirat,
    Mknod,
    Mknodat,
    Symlink,
    Symlinkat,
    Execve,
    Execveat,
    Stat,
    Lstat,
    Fstat,
    Newfstatat,
    Statx,
}

impl Call {
    /// Returns the call with this number; `None` for one that is not in the table.
    pub(super) fn of(abi: Abi, number: u32) -> Option<Self> {
        let table = Self::table(abi).iter();
        let mut found = table.filter(|(other, _)| *other == number);
        found.next().map(|(_, call)| *call)
    }

    /// Returns the numbers of all calls in one dialect, the frequent ones first: the kernel compares
    /// one after the other.
    pub(super) fn table(abi: Abi) -> &'static [(u32, Self)] {
        match abi {
            Abi::Native => NATIVE,
            Abi::I386 => I386,
        }
    }
}

const NATIVE: &[(u32, Call)] = &[
    (libc::SYS_openat as u32, Call::Openat),
    (libc::SYS_newfstatat as u32, Call::Newfstatat),
    (libc::SYS_fstat as u32, Call::Fstat),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open as u32, Call::Open),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat as u32, Call::Stat),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lstat as u32, Call::Lstat),
    (libc::SYS_statx as u32, Call::Statx),
    (libc::SYS_execve as u32, Call::Execve),
    (libc::SYS_execveat as u32, Call::Execveat),
    (libc::SYS_getuid as u32, Call::Getuid),
    (libc::SYS_geteuid as u32, Call::Geteuid),
    (libc::SYS_getgid as u32, Call::Getgid),
    (libc::SYS_getegid as u32, Call::Getegid),
    (libc::SYS_getresuid as u32, Call::Getresuid),
    (libc::SYS_getresgid as u32, Call::Getresgid),
    (libc::SYS_getgroups as u32, Call::Getgroups),
    (libc::SYS_fchown as u32, Call::Fchown),
    (libc::SYS_fchownat as u32, Call::Fchownat),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chown as u32, Call::Chown),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_lchown as u32, Call::Lchown),
    (libc::SYS_openat2 as u32, Call::Openat2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_creat as u32, Call::Creat),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir as u32, Call::Mkdir),
    (libc::SYS_mkdirat as u32, Call::Mkdirat),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mknod as u32, Call::Mknod),
    (libc::SYS_mknodat as u32, Call::Mknodat),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink as u32, Call::Symlink),
    (libc::SYS_symlinkat as u32, Call::Symlinkat),
    (libc::SYS_setuid as u32, Call::Setuid),
    (libc::SYS_setgid as u32, Call::Setgid),
    (libc::SYS_setreuid as u32, Call::Setreuid),
    (libc::SYS_setregid as u32, Call::Setregid),
    (libc::SYS_setresuid as u32, Call::Setresuid),
    (libc::SYS_setresgid as u32, Call::Setresgid),
    (libc::SYS_setfsuid as u32, Call::Setfsuid),
    (libc::SYS_setfsgid as u32, Call::Setfsgid),
    (libc::SYS_setgroups as u32, Call::Setgroups),
];

// arch/x86/entry/syscalls/syscall_32.tbl. Of calls that exist with ids of 16 and of 32 bits, these
// are the latter. The calls that fill in a `struct stat` are not here: 32-bit programs have others,
// and since 2021 their C library uses `statx`.
const I386: &[(u32, Call)] = &[
    (295, Call::Openat),
    (5, Call::Open),
    (383, Call::Statx),
    (11, Call::Execve),
    (358, Call::Execveat),
    (199, Call::Getuid),
    (201, Call::Geteuid),
    (200, Call::Getgid),
    (202, Call::Getegid),
    (209, Call::Getresuid),
    (211, Call::Getresgid),
    (205, Call::Getgroups),
    (207, Call::Fchown),
    (298, Call::Fchownat),
    (212, Call::Chown),
    (198, Call::Lchown),
    (437, Call::Openat2),
    (8, Call::Creat),
    (39, Call::Mkdir),
    (296, Call::Mkdirat),
    (14, Call::Mknod),
    (297, Call::Mknodat),
    (83, Call::Symlink),
    (304, Call::Symlinkat),
    (213, Call::Setuid),
    (214, Call::Setgid),
    (203, Call::Setreuid),
    (204, Call::Setregid),
    (208, Call::Setresuid),
    (210, Call::Setresgid),
    (215, Call::Setfsuid),
    (216, Call::Setfsgid),
    (206, Call::Setgroups),
];

/// Calls of 32-bit programs that take ids of 16 bits, by number: programs of this century use others.
#[cfg(target_arch = "x86_64")]
pub(super) const I386_NARROW: [u32; 18] = [
    16, 23, 24, 46, 47, 49, 50, 70, 71, 80, 81, 95, 138, 139, 164, 165, 170, 171,
];

/// `chown` with ids of 16 bits.
#[cfg(target_arch = "x86_64")]
pub(super) const I386_NARROW_CHOWN: u32 = 182;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_call_and_is_used_once() {
        for abi in [Abi::Native, Abi::I386] {
            for (number, call) in Call::table(abi) {
                assert_eq!(Call::of(abi, *number), Some(*call));
            }
        }
        assert_eq!(Call::of(Abi::Native, u32::MAX), None);
    }
}
