//! The places and modes in which every case is tried.

use sawagani::sandbox::Isolation;

use crate::runner::SETUP_VARIABLE;

/// Who the builder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Root,
    /// A user with a subordinate id range.
    User,
    /// Root with the few capabilities that careful people leave to an image builder.
    FewCapabilities,
}

/// Where it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Machine,
    /// A part of `/proc` is masked, as in containers: a user namespace cannot mount its own.
    MaskedProc,
    /// A root directory of its own, to be used by the stages.
    Container,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) isolation: Isolation,
    pub(crate) account: Account,
    pub(crate) place: Place,
    pub(crate) is_tree: bool,
    pub(crate) has_proc: bool,
    pub(crate) has_mounts: bool,
    pub(crate) has_pids: bool,
}

const NAMESPACES: Setup = Setup {
    name: "",
    isolation: Isolation::Ns,
    account: Account::Root,
    place: Place::Machine,
    is_tree: false,
    has_proc: true,
    has_mounts: true,
    has_pids: true,
};

const CHROOT: Setup = Setup {
    isolation: Isolation::Chroot,
    is_tree: true,
    has_proc: false,
    has_mounts: false,
    has_pids: false,
    ..NAMESPACES
};

pub(crate) const SETUPS: &[Setup] = &[
    Setup {
        name: "ns",
        ..NAMESPACES
    },
    Setup {
        name: "userns",
        isolation: Isolation::Userns,
        account: Account::User,
        ..NAMESPACES
    },
    Setup {
        name: "ns_tree",
        is_tree: true,
        ..NAMESPACES
    },
    Setup {
        name: "userns_tree",
        isolation: Isolation::Userns,
        account: Account::User,
        is_tree: true,
        ..NAMESPACES
    },
    Setup {
        name: "userns_masked",
        isolation: Isolation::Userns,
        account: Account::User,
        place: Place::MaskedProc,
        is_tree: true,
        has_pids: false,
        ..NAMESPACES
    },
    Setup {
        name: "chroot",
        ..CHROOT
    },
    Setup {
        name: "chroot_few",
        account: Account::FewCapabilities,
        ..CHROOT
    },
    Setup {
        name: "inplace",
        isolation: Isolation::Inplace,
        place: Place::Container,
        has_proc: true,
        ..CHROOT
    },
];

impl Setup {
    /// Returns the setup that the environment names.
    pub(crate) fn of_this_process() -> &'static Self {
        let name = std::env::var(SETUP_VARIABLE).unwrap();
        let setup = SETUPS.iter().find(|setup| setup.name == name);
        setup.unwrap_or_else(|| panic!("no setup is called {name}"))
    }
}
