//! A way to build: an isolation, who builds, and where the files lie.

use crate::support::Who;

/// Every way that a case may be asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Root with namespaces and overlays: the reference.
    Ns,
    /// Root with namespaces and a plain directory for each stage.
    NsTree,
    /// A user with a subordinate range, and overlays.
    Userns,
    /// A user without any subordinate range.
    Single,
    /// Root without namespaces, in a container that is the builder's own.
    Inplace,
    /// Root without namespaces.
    Chroot,
    /// A user without any privilege.
    None,
}

impl Mode {
    /// What all others are compared with.
    pub(crate) const REFERENCE: Self = Self::Ns;

    pub(crate) const ALL: [Self; 7] = [
        Self::Ns,
        Self::NsTree,
        Self::Userns,
        Self::Single,
        Self::Inplace,
        Self::Chroot,
        Self::None,
    ];

    /// As the files of a case are named: `differs.userns`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::NsTree => "ns-tree",
            Self::Userns => "userns",
            Self::Single => "single",
            Self::Inplace => "inplace",
            Self::Chroot => "chroot",
            Self::None => "none",
        }
    }

    pub(crate) fn who(self) -> Who {
        match self {
            Self::Ns | Self::NsTree | Self::Inplace | Self::Chroot => Who::Root,
            Self::Userns => Who::User,
            Self::Single | Self::None => Who::UserWithoutRange,
        }
    }

    /// The executor's flags.
    pub(crate) fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Ns => &["--isolation=ns"],
            Self::NsTree => &["--isolation=ns", "--storage=tree"],
            Self::Userns | Self::Single => &["--isolation=userns"],
            Self::Inplace => &["--isolation=inplace"],
            Self::Chroot => &["--isolation=chroot"],
            Self::None => &["--isolation=none"],
        }
    }

    pub(crate) fn runs_commands(self) -> bool {
        match self {
            Self::Ns
            | Self::NsTree
            | Self::Userns
            | Self::Single
            | Self::Inplace
            | Self::Chroot => true,
            Self::None => false,
        }
    }

    /// Whether a stage's root is one plain directory that its steps change in place.
    pub(crate) fn has_trees(self) -> bool {
        match self {
            Self::Ns | Self::Userns => false,
            Self::NsTree | Self::Single | Self::Inplace | Self::Chroot | Self::None => true,
        }
    }
}
