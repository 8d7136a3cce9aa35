//! RUN: what to execute, and what to execute it with.

use super::{CommandLine, DeviceRequest, InstructionError};
use crate::dockerfile::ast::Node;
use crate::dockerfile::flags::{FlagKind, FlagSpec, Flags};
use crate::dockerfile::{Heredoc, MountRequest, suggest};

/// What RUN says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInstruction {
    /// The command as written on its own lines; see `invocation` for what it means.
    pub command: CommandLine,
    /// The here documents below it, in order. None for the exec form.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, in order; their values are unexpanded.
    pub mounts: Vec<MountRequest>,
    /// `--network`
    pub network: NetworkMode,
    /// `--security`
    pub security: SecurityMode,
    /// `--device`, in order.
    pub devices: Vec<DeviceRequest>,
}

/// The network that a command sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// The one the build chooses.
    Default,
    /// A loopback device only.
    None,
    /// The host's.
    Host,
}

/// What a command may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecurityMode {
    /// What a container may.
    Sandbox,
    /// Everything.
    Insecure,
}

/// What a RUN executes, its here documents taken into account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Invocation {
    /// This program with these arguments; none at all is possible.
    Exec(Vec<String>),
    /// The SHELL with this text as its last argument. Here documents that only a shell
    /// can read are in it, with the lines that close them.
    Shell(String),
    /// The SHELL with the path of this script as its last argument.
    Script {
        /// The file's name.
        name: String,
        /// Its content, which starts with `#!`.
        content: String,
    },
}

const FLAGS: &[FlagSpec] = &[
    ("device", FlagKind::Values),
    ("mount", FlagKind::Values),
    ("network", FlagKind::Value),
    ("security", FlagKind::Value),
];

impl RunInstruction {
    pub(super) fn of(node: &Node) -> Result<Self, InstructionError> {
        let flags = Flags::read(&node.flags, FLAGS)?;
        let devices: Result<_, _> = flags
            .values("device")
            .iter()
            .map(|v| DeviceRequest::of(v))
            .collect();
        let devices = devices?;
        let mounts: Result<_, _> = flags
            .values("mount")
            .iter()
            .map(|v| MountRequest::of(v))
            .collect();
        Ok(Self {
            command: CommandLine::of(&node.args, node.json),
            heredocs: node.heredocs.clone(),
            mounts: mounts?,
            network: network(&flags)?,
            security: security(&flags)?,
            devices,
        })
    }

    /// Returns what is executed. A command that is nothing but one here document is its
    /// content, which needs no shell that knows here documents; with `#!` in front it is
    /// a script. Any other is the shell's to read, documents included.
    #[must_use]
    pub fn invocation(&self) -> Invocation {
        let text = match &self.command {
            CommandLine::Exec(words) => return Invocation::Exec(words.clone()),
            CommandLine::Shell(text) => text,
        };
        let Some(first) = self.heredocs.first() else {
            return Invocation::Shell(text.clone());
        };
        if !matches!(Heredoc::of_word(text), Ok(Some(_))) {
            return Invocation::Shell(self.with_heredocs(text));
        }
        let content = first.text().into_owned();
        if first.content.starts_with("#!") {
            let name = first.name.clone();
            return Invocation::Script { name, content };
        }
        Invocation::Shell(content)
    }

    fn with_heredocs(&self, text: &str) -> String {
        let mut full = text.to_owned();
        for heredoc in &self.heredocs {
            full.push('\n');
            full.push_str(&heredoc.content);
            full.push_str(&heredoc.name);
        }
        full
    }
}

fn network(flags: &Flags) -> Result<NetworkMode, InstructionError> {
    match flags.value("network").as_deref() {
        None | Some("default") => Ok(NetworkMode::Default),
        Some("none") => Ok(NetworkMode::None),
        Some("host") => Ok(NetworkMode::Host),
        Some(other) => Err(InstructionError::Network {
            value: other.to_owned(),
            suggestion: suggest::nearest(other, &["default", "host", "none"]),
        }),
    }
}

fn security(flags: &Flags) -> Result<SecurityMode, InstructionError> {
    match flags.value("security").as_deref() {
        None | Some("sandbox") => Ok(SecurityMode::Sandbox),
        Some("insecure") => Ok(SecurityMode::Insecure),
        Some(other) => Err(InstructionError::Security {
            value: other.to_owned(),
            suggestion: suggest::nearest(other, &["insecure", "sandbox"]),
        }),
    }
}
