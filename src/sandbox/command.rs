//! What a step runs, and how it ends.

use std::ffi::OsString;
use std::path::PathBuf;

use super::secret::Secret;
use super::step_mount::StepMount;
use super::user::ResolvedUser;

/// A program with everything that it sees. Nothing is added from the builder's own environment.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program and its arguments; not empty. A program without a slash is searched in the
    /// directories that PATH in `env` names.
    pub argv: Vec<OsString>,
    /// The whole environment, in this order.
    pub env: Vec<(OsString, OsString)>,
    /// Further variables, whose values nobody may print; they win over those in `env`.
    pub secret_env: Vec<(OsString, Secret)>,
    /// The working directory inside the root; it must exist.
    pub cwd: PathBuf,
    /// The user it runs as.
    pub user: ResolvedUser,
    /// The host name it sees.
    pub hostname: String,
    /// Files it sees besides the root's own, read-only.
    pub files: Vec<ShownFile>,
    /// What it sees because it asked for it.
    pub mounts: Vec<StepMount>,
    /// The network it sees.
    pub network: Network,
}

impl Command {
    /// The host name where the user asked for none, as BuildKit's.
    pub const DEFAULT_HOSTNAME: &str = "buildkitsandbox";

    /// Makes a command that root runs in `/`, without environment, on the machine's network.
    pub fn new(argv: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            secret_env: Vec::new(),
            cwd: PathBuf::from("/"),
            user: ResolvedUser::root(),
            hostname: Self::DEFAULT_HOSTNAME.to_owned(),
            files: Vec::new(),
            mounts: Vec::new(),
            network: Network::Host,
        }
    }
}

/// A file of ours that a step sees, and no layer holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownFile {
    /// Its path inside the root. Where the image has a file there, that one is hidden.
    pub target: PathBuf,
    /// All of its contents.
    pub contents: Vec<u8>,
    /// Mode bits, 0o7777 only. The owner is root.
    pub mode: u32,
}

/// The network of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The builder's own.
    Host,
    /// A loopback interface, nothing else.
    None,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// Targets of read-only mounts that it wrote to, where nothing kept it from that. What it wrote there is lost. Empty
    /// where there are mounts.
    pub written: Vec<PathBuf>,
}

impl From<Exit> for Ended {
    fn from(exit: Exit) -> Self {
        Self {
            exit,
            written: Vec::new(),
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code, 0 to 255.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// Which of a command's outputs something came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
