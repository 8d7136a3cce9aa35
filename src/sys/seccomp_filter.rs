//! A filter that hands chosen system calls to another process, as the small program that the kernel runs.
//!
//! What is not chosen is allowed, and costs nothing: the kernel finds out once which numbers a filter
//! allows whatever their arguments are (since Linux 5.11). This is no means of confinement.

use libc::{BPF_ABS, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};
use rustix::io::Errno;

use super::seccomp_call::{Abi, Call};
#[cfg(target_arch = "x86_64")]
use super::seccomp_call::{I386_NARROW, I386_NARROW_CHOWN};

/// When a call is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Each time.
    Always,
    /// When one of these bits is set in the argument with this index.
    Bits {
        /// Index of the argument, from 0.
        argument: u8,
        /// The bits, all among the lower 32.
        bits: u32,
    },
    /// Not at all.
    Never,
}

/// A filter, ready for the kernel.
pub struct Filter {
    program: Vec<sock_filter>,
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Filter({} instructions)", self.program.len())
    }
}

// Offsets in the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
const ARGUMENT_BYTES: u32 = 8;

// linux/audit.h
#[cfg(target_arch = "x86_64")]
const NATIVE_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const NATIVE_ARCHITECTURE: u32 = 0xc000_00b7;
#[cfg(target_arch = "x86_64")]
const I386_ARCHITECTURE: u32 = 0x4000_0003;

/// Set in the numbers of the x32 dialect, which shares the architecture of 64-bit programs.
#[cfg(target_arch = "x86_64")]
const X32_BIT: u32 = 0x4000_0000;

/// `io_uring_setup`, the same on all architectures: what is asked for through such a ring passes by
/// every filter. Container runtimes refuse it as well.
const IO_URING_SETUP: u32 = 425;

impl Filter {
    /// Makes the filter that hands over the calls in which there is an interest.
    ///
    /// Refused with `ENOSYS`, as by a kernel without them: `io_uring_setup`; all calls of dialects
    /// that have no table (x32; 32-bit ARM); and those of 32-bit x86 with ids of 16 bits.
    pub fn new(interest: impl Fn(Call) -> Interest) -> Self {
        let mut native = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            native.push(jump(libc::BPF_JGE, X32_BIT, 0, 1));
            native.push(refuse());
        }
        add_calls(&mut native, Abi::Native, &interest);
        let mut program = vec![load(ARCHITECTURE)];
        #[cfg(target_arch = "x86_64")]
        {
            let mut other = vec![load(NUMBER)];
            for number in I386_NARROW.into_iter().chain([I386_NARROW_CHOWN]) {
                other.push(jump(BPF_JEQ, number, 0, 1));
                other.push(refuse());
            }
            add_calls(&mut other, Abi::I386, &interest);
            program.push(jump(BPF_JEQ, I386_ARCHITECTURE, 1, 0));
            program.push(skip(other.len()));
            program.append(&mut other);
        }
        program.push(jump(BPF_JEQ, NATIVE_ARCHITECTURE, 1, 0));
        program.push(refuse());
        program.push(load(NUMBER));
        program.append(&mut native);
        Self { program }
    }

    /// Returns the instructions in the form that the kernel takes.
    pub(super) fn instructions(&self) -> &[sock_filter] {
        &self.program
    }
}

/// Adds the tests of one dialect; the number is loaded before them.
fn add_calls(program: &mut Vec<sock_filter>, abi: Abi, interest: &impl Fn(Call) -> Interest) {
    program.push(jump(BPF_JEQ, IO_URING_SETUP, 0, 1));
    program.push(refuse());
    for (number, call) in Call::table(abi) {
        match interest(*call) {
            Interest::Never => {}
            Interest::Always => {
                program.push(jump(BPF_JEQ, *number, 0, 1));
                program.push(answer(libc::SECCOMP_RET_USER_NOTIF));
            }
            Interest::Bits { argument, bits } => {
                program.push(jump(BPF_JEQ, *number, 0, 4));
                // The lower half: all architectures here are little-endian.
                program.push(load(ARGUMENTS + u32::from(argument) * ARGUMENT_BYTES));
                program.push(jump(BPF_JSET, bits, 0, 1));
                program.push(answer(libc::SECCOMP_RET_USER_NOTIF));
                program.push(answer(libc::SECCOMP_RET_ALLOW));
            }
        }
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
}

fn load(offset: u32) -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset)
}

/// Compares what was loaded with `value`, and skips as many instructions as the outcome says.
fn jump(comparison: u32, value: u32, if_so: u8, if_not: u8) -> sock_filter {
    instruction(BPF_JMP | comparison | BPF_K, if_so, if_not, value)
}

/// Skips `count` instructions.
#[cfg(target_arch = "x86_64")]
fn skip(count: usize) -> sock_filter {
    instruction(BPF_JMP | libc::BPF_JA, 0, 0, count as u32)
}

fn answer(action: u32) -> sock_filter {
    instruction(BPF_RET | BPF_K, 0, 0, action)
}

fn refuse() -> sock_filter {
    answer(libc::SECCOMP_RET_ERRNO | Errno::NOSYS.raw_os_error() as u32)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the program as the kernel does, on a call with one interesting argument.
    fn verdict(filter: &Filter, architecture: u32, number: u32, argument: (u8, u64)) -> u32 {
        let mut data = [0_u32; 16];
        data[0] = number;
        data[1] = architecture;
        data[4 + 2 * usize::from(argument.0)] = argument.1 as u32;
        data[5 + 2 * usize::from(argument.0)] = (argument.1 >> 32) as u32;
        let (mut loaded, mut at) = (0, 0);
        loop {
            let sock_filter { code, jt, jf, k } = filter.program[at];
            at += 1;
            let code = u32::from(code);
            let holds = match code {
                _ if code == BPF_LD | BPF_W | BPF_ABS => {
                    loaded = data[k as usize / 4];
                    continue;
                }
                _ if code == BPF_JMP | libc::BPF_JA => {
                    at += k as usize;
                    continue;
                }
                _ if code == BPF_RET | BPF_K => return k,
                _ if code == BPF_JMP | BPF_JEQ | BPF_K => loaded == k,
                _ if code == BPF_JMP | libc::BPF_JGE | BPF_K => loaded >= k,
                _ if code == BPF_JMP | BPF_JSET | BPF_K => loaded & k != 0,
                _ => panic!("{code} is not used"),
            };
            at += usize::from(if holds { jt } else { jf });
        }
    }

    fn filter() -> Filter {
        Filter::new(|call| match call {
            Call::Openat => Interest::Bits {
                argument: 2,
                bits: 0o100,
            },
            Call::Getuid => Interest::Never,
            _ => Interest::Always,
        })
    }

    const HAND_OVER: u32 = libc::SECCOMP_RET_USER_NOTIF;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    const NONE: (u8, u64) = (0, 0);

    fn refusal() -> u32 {
        refuse().k
    }

    #[test]
    fn calls_of_interest_are_handed_over_and_others_are_allowed() {
        let native = |number: i64, argument| {
            verdict(&filter(), NATIVE_ARCHITECTURE, number as u32, argument)
        };
        assert_eq!(native(libc::SYS_fchown, NONE), HAND_OVER);
        assert_eq!(native(libc::SYS_setgroups, NONE), HAND_OVER);
        assert_eq!(native(libc::SYS_getuid, NONE), ALLOW);
        assert_eq!(native(libc::SYS_read, NONE), ALLOW);
        assert_eq!(native(libc::SYS_openat, (2, 0o101)), HAND_OVER);
        assert_eq!(native(libc::SYS_openat, (2, 0o1)), ALLOW);
        assert_eq!(native(libc::SYS_openat, (2, 0o100 << 32)), ALLOW);
        assert_eq!(native(libc::SYS_openat, (1, 0o100)), ALLOW);
        assert_eq!(native(libc::SYS_io_uring_setup, NONE), refusal());
    }

    #[test]
    fn programs_of_another_architecture_are_refused_all() {
        for number in [0, 1, 92, 257] {
            assert_eq!(verdict(&filter(), 0x4000_0028, number, NONE), refusal());
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn programs_of_32_bits_cannot_walk_around_it() {
        let i386 = |number, argument| verdict(&filter(), I386_ARCHITECTURE, number, argument);
        assert_eq!(i386(212, NONE), HAND_OVER);
        assert_eq!(i386(295, (2, 0o100)), HAND_OVER);
        assert_eq!(i386(295, NONE), ALLOW);
        // `write`; its number is that of another call elsewhere.
        assert_eq!(i386(4, NONE), ALLOW);
        for narrow in I386_NARROW.into_iter().chain([I386_NARROW_CHOWN]) {
            assert_eq!(i386(narrow, NONE), refusal());
        }
        assert_eq!(i386(IO_URING_SETUP, NONE), refusal());
        let chown = libc::SYS_chown as u32;
        let x32 = verdict(&filter(), NATIVE_ARCHITECTURE, X32_BIT | chown, NONE);
        assert_eq!(x32, refusal());
    }
}
