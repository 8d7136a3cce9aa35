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
    /// Namespaces inside a user namespace with a subordinate id range.
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

/// What was chosen: one of the ways that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// As [`Isolation::Ns`].
    Ns,
    /// As [`Isolation::Userns`].
    Userns,
}

impl Mode {
    /// Returns the name as `--isolation` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ns => Isolation::Ns.name(),
            Self::Userns => Isolation::Userns.name(),
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
