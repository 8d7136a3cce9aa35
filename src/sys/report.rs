//! What the first process of a step tells its parent, as bytes in a pipe.

use rustix::io::Errno;

use super::errno::errno_from;

/// A part of the preparation that is the same for every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum SetupStep {
    /// Putting the standard streams in place and closing everything else.
    Descriptors = 0,
    /// Tying the step's life to the builder's.
    ParentDeath = 1,
    /// Limiting the capabilities.
    Capabilities = 2,
    /// Starting the command's process.
    Fork = 3,
    /// Giving the command a session of its own.
    Session = 4,
    /// Switching to the step's groups.
    Groups = 5,
    /// Switching to the step's user.
    User = 6,
    /// Switching core dumps off.
    CoreLimit = 7,
    /// Hiding the builder's memory from the step.
    Memory = 8,
    /// Having the command's system calls answered by the builder.
    Interception = 9,
}

impl SetupStep {
    const ALL: [Self; 10] = [
        Self::Descriptors,
        Self::ParentDeath,
        Self::Capabilities,
        Self::Fork,
        Self::Session,
        Self::Groups,
        Self::User,
        Self::CoreLimit,
        Self::Memory,
        Self::Interception,
    ];
}

/// What the first process says to its parent, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The command ended by itself with this code, 0 to 255.
    Exited(i32),
    /// The command was killed by this signal.
    Signaled(i32),
    /// The task with this index failed: no command was started.
    TaskFailed(usize, Errno),
    /// A part of the common preparation failed: no command was started.
    SetupFailed(SetupStep, Errno),
    /// The program could not be started. The error is the one that says most of all candidates'.
    ExecFailed(Errno),
}

/// A report on its way through a pipe: small enough to be written in one piece.
pub(super) const REPORT_BYTES: usize = 12;

impl Report {
    /// Allocates nothing.
    pub(super) fn to_bytes(self) -> [u8; REPORT_BYTES] {
        let (kind, value, index): (u32, i32, u32) = match self {
            Self::Exited(code) => (1, code, 0),
            Self::Signaled(signal) => (2, signal, 0),
            Self::TaskFailed(index, errno) => (3, errno.raw_os_error(), index as u32),
            Self::SetupFailed(step, errno) => (4, errno.raw_os_error(), step as u32),
            Self::ExecFailed(errno) => (5, errno.raw_os_error(), 0),
        };
        let mut bytes = [0; REPORT_BYTES];
        let (kind_bytes, rest) = bytes.split_at_mut(4);
        let (value_bytes, index_bytes) = rest.split_at_mut(4);
        kind_bytes.copy_from_slice(&kind.to_ne_bytes());
        value_bytes.copy_from_slice(&value.to_ne_bytes());
        index_bytes.copy_from_slice(&index.to_ne_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for anything else. Runs in the parent.
    pub(super) fn from_bytes(bytes: [u8; REPORT_BYTES]) -> Option<Self> {
        let word = |start: usize| -> Option<[u8; 4]> { bytes[start..start + 4].try_into().ok() };
        let value = i32::from_ne_bytes(word(4)?);
        let index = u32::from_ne_bytes(word(8)?) as usize;
        match u32::from_ne_bytes(word(0)?) {
            1 => Some(Self::Exited(value)),
            2 => Some(Self::Signaled(value)),
            3 => Some(Self::TaskFailed(index, errno_from(value)?)),
            4 => Some(Self::SetupFailed(
                *SetupStep::ALL.get(index)?,
                errno_from(value)?,
            )),
            5 => Some(Self::ExecFailed(errno_from(value)?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_report_reads_back_as_itself_and_nonsense_as_nothing() {
        let reports = [
            Report::Exited(0),
            Report::Exited(255),
            Report::Signaled(9),
            Report::TaskFailed(70_000, Errno::PERM),
            Report::ExecFailed(Errno::NOENT),
        ];
        let steps = SetupStep::ALL.map(|step| Report::SetupFailed(step, Errno::NOSYS));
        for report in reports.into_iter().chain(steps) {
            assert_eq!(Report::from_bytes(report.to_bytes()), Some(report));
        }
        assert_eq!(Report::from_bytes([0; REPORT_BYTES]), None);
        assert_eq!(Report::from_bytes([0xff; REPORT_BYTES]), None);
    }
}
