//! How a RUN is kept apart from the machine, as a value.

use std::fmt;
use std::str::FromStr;

/// What `--isolation` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// The strongest that works here.
    #[default]
    Auto,
    /// Namespaces, made with the capabilities that this process has.
    Ns,
    /// Namespaces inside a user namespace.
    Userns,
    /// The container's own root directory, switched between stages.
    Inplace,
    /// A change of the root directory, nothing else.
    Chroot,
    /// No RUN at all.
    None,
}

impl Isolation {
    const ALL: [Self; 6] = [
        Self::Auto,
        Self::Ns,
        Self::Userns,
        Self::Inplace,
        Self::Chroot,
        Self::None,
    ];

    /// Returns the name as `--isolation` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ns => "ns",
            Self::Userns => "userns",
            Self::Inplace => "inplace",
            Self::Chroot => "chroot",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A word that names no isolation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown isolation `{0}`: expected auto, ns, userns, inplace, chroot or none")]
pub struct UnknownIsolation(String);

impl FromStr for Isolation {
    type Err = UnknownIsolation;

    fn from_str(text: &str) -> Result<Self, UnknownIsolation> {
        Self::ALL
            .into_iter()
            .find(|isolation| isolation.name() == text)
            .ok_or_else(|| UnknownIsolation(text.to_owned()))
    }
}

/// What was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As [`Isolation::Ns`].
    Ns,
    /// As [`Isolation::Userns`], with these ids.
    Userns(Ids),
    /// As [`Isolation::Inplace`].
    Inplace,
    /// As [`Isolation::Chroot`].
    Chroot,
    /// As [`Isolation::None`].
    None,
}

/// Which users and groups exist in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// All that exist outside, under the same numbers.
    Whole,
    /// Root, which is this user, and a subordinate range.
    Range,
    /// Root, which is this user, and nobody else: other owners are recorded.
    Single,
}

impl Mode {
    /// Returns the name as `--isolation` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ns => Isolation::Ns.name(),
            Self::Userns(_) => Isolation::Userns.name(),
            Self::Inplace => Isolation::Inplace.name(),
            Self::Chroot => Isolation::Chroot.name(),
            Self::None => Isolation::None.name(),
        }
    }

    /// Says whether overlays may be used where they work.
    pub(super) fn takes_overlays(self) -> bool {
        match self {
            Self::Ns | Self::Userns(Ids::Whole | Ids::Range) => true,
            // Owners are recorded by inode, and an overlay's inodes change from mount to mount.
            Self::Userns(Ids::Single) => false,
            Self::Inplace | Self::Chroot | Self::None => false,
        }
    }

    /// Says whether a RUN can be executed at all.
    pub fn can_run(self) -> bool {
        match self {
            Self::Ns | Self::Userns(_) | Self::Inplace | Self::Chroot => true,
            Self::None => false,
        }
    }

    /// Says whether a RUN has namespaces of its own: mounts, a network.
    pub fn has_namespaces(self) -> bool {
        match self {
            Self::Ns | Self::Userns(_) => true,
            Self::Inplace | Self::Chroot | Self::None => false,
        }
    }

    /// Says whether the steps of several stages may run at the same time.
    pub fn runs_in_parallel(self) -> bool {
        match self {
            Self::Ns | Self::Userns(_) | Self::Chroot | Self::None => true,
            // There is one root directory.
            Self::Inplace => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_itself() {
        for isolation in Isolation::ALL {
            assert_eq!(isolation.name().parse(), Ok(isolation));
        }
        assert!("NS".parse::<Isolation>().is_err());
        assert!("".parse::<Isolation>().is_err());
    }
}
