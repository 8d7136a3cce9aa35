//! Why a call is not answered with success.

use rustix::io::Errno;

/// A failure on the way to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// What the kernel would have said as well.
    Kernel(Errno),
    /// Something that we need did not work: the call fails, and the user is told.
    Ours {
        /// What was tried, as a verb phrase that reads after "cannot".
        action: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The caller is gone: there is nobody to answer.
    Gone,
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        Self::Kernel(errno)
    }
}

/// Says of a failure that it is ours.
pub(super) trait OurTrouble<T> {
    fn ours(self, action: &'static str) -> Result<T, Trouble>;
}

impl<T> OurTrouble<T> for Result<T, Errno> {
    fn ours(self, action: &'static str) -> Result<T, Trouble> {
        self.map_err(|errno| match errno {
            // What a program passed points nowhere.
            Errno::FAULT | Errno::NAMETOOLONG => Trouble::Kernel(errno),
            errno => Trouble::Ours { action, errno },
        })
    }
}
