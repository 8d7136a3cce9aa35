//! What a step does to files: an instruction as it is executed, with everything in it that the stage decides.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::dockerfile::{Invocation, NetworkMode, RunInstruction, Sources};
use crate::sandbox::ShownFile;

use super::mount_action::MountAction;
use super::plan::FileSource;
use super::remote_source::{RemoteSource, without_user};

/// Where a here document that is a script appears to the command (BuildKit's choice).
const SCRIPT_DIR: &str = "/dev/pipes";

/// Mode of such a script.
const SCRIPT_MODE: u32 = 0o755;

/// What a step does, and as whom.
#[derive(PartialEq)]
pub(super) struct Work {
    /// What the history says of it.
    pub(super) created_by: String,
    /// The stage's user at this step, as the config has it. Empty for root.
    pub(super) user: String,
    /// The stage's working directory at this step, absolute: the new one for WORKDIR.
    pub(super) working_dir: String,
    /// What it does.
    pub(super) action: Action,
}

/// What a step does.
#[derive(PartialEq)]
pub(super) enum Action {
    /// RUN
    Run(RunAction),
    /// COPY and ADD
    Transfer(Transfer),
    /// WORKDIR, other than of `/`: creates the working directory.
    Workdir,
}

/// A command to execute.
#[derive(PartialEq)]
pub(super) struct RunAction {
    /// The program and its arguments, the shell's included.
    pub(super) argv: Vec<String>,
    /// The here document that the words name as a file.
    pub(super) script: Option<ShownFile>,
    /// What ENV and declared ARGs give it, in the order of their definition.
    pub(super) environment: Vec<(String, String)>,
    /// What it sees besides its files.
    pub(super) mounts: Vec<MountAction>,
    /// The network that it sees.
    pub(super) network: NetworkMode,
    /// The host name that it sees, where one was asked for.
    pub(super) hostname: Option<String>,
}

/// What COPY and ADD have in common.
#[derive(PartialEq)]
pub(super) struct Transfer {
    /// `COPY` or `ADD`.
    pub(super) keyword: &'static str,
    /// As expanded.
    pub(super) sources: Sources,
    /// Absolute path inside the root, with a slash at its end if it is a directory.
    pub(super) destination: String,
    /// What the paths are looked up in.
    pub(super) from: FileSource,
    /// `--chown`
    pub(super) chown: Option<String>,
    /// `--chmod`
    pub(super) chmod: Option<String>,
    /// `--exclude`, in order.
    pub(super) exclude: Vec<String>,
    /// `--parents`
    pub(super) keeps_parents: bool,
    /// Whether it is made a layer of its own, without a look at the stage's files: `--link`.
    pub(super) is_linked: bool,
    /// Whether a file that is an archive is unpacked.
    pub(super) unpacks: bool,
    /// Whether a file from the network that is an archive is unpacked.
    pub(super) unpacks_remotes: bool,
    /// Those of the paths that are in the network, by their words.
    pub(super) remotes: BTreeMap<String, RemoteSource>,
}

impl Work {
    /// Says whether its layer is the same on any files.
    pub(super) fn is_linked(&self) -> bool {
        match &self.action {
            Action::Transfer(transfer) => transfer.is_linked,
            Action::Run(_) | Action::Workdir => false,
        }
    }

    /// Returns the stages and images that it takes files from, in order.
    pub(super) fn elsewhere(&self) -> Vec<&FileSource> {
        let sources = match &self.action {
            Action::Transfer(transfer) => vec![&transfer.from],
            Action::Run(run) => run.mounts.iter().filter_map(MountAction::source).collect(),
            Action::Workdir => Vec::new(),
        };
        let is_elsewhere = |source: &&FileSource| match source {
            FileSource::Context | FileSource::Directory(_) => false,
            FileSource::Stage(_) | FileSource::Image(_) => true,
        };
        sources.into_iter().filter(is_elsewhere).collect()
    }

    /// Says whether it takes files of a build context.
    pub(super) fn takes_context(&self) -> bool {
        let is_context = |source: &FileSource| match source {
            FileSource::Context | FileSource::Directory(_) => true,
            FileSource::Stage(_) | FileSource::Image(_) => false,
        };
        match &self.action {
            Action::Transfer(transfer) => {
                let mut paths = transfer.sources.paths.iter();
                let is_local = |path: &String| !transfer.remotes.contains_key(path);
                is_context(&transfer.from) && paths.any(is_local)
            }
            Action::Run(run) => {
                let mut sources = run.mounts.iter().filter_map(MountAction::source);
                sources.any(is_context)
            }
            Action::Workdir => false,
        }
    }

    /// Gives the stages that it takes files from other numbers.
    pub(super) fn renumber(&mut self, numbers: &BTreeMap<usize, usize>) {
        match &mut self.action {
            Action::Transfer(transfer) => transfer.from.renumber(numbers),
            Action::Run(run) => {
                let sources = run.mounts.iter_mut().filter_map(MountAction::source_mut);
                sources.for_each(|source| source.renumber(numbers));
            }
            Action::Workdir => {}
        }
    }

    /// Says whether it takes anything from the network.
    pub(super) fn has_remotes(&self) -> bool {
        match &self.action {
            Action::Transfer(transfer) => !transfer.remotes.is_empty(),
            Action::Run(_) | Action::Workdir => false,
        }
    }
}

impl RunAction {
    /// Returns what a RUN executes. `shell` comes before the shell form's text.
    pub(super) fn new(
        run: &RunInstruction,
        shell: &[String],
        environment: Vec<(String, String)>,
        mounts: Vec<MountAction>,
    ) -> Self {
        let with_shell = |last: String| {
            let mut words = shell.to_vec();
            words.push(last);
            words
        };
        let (argv, script) = match run.invocation() {
            Invocation::Exec(words) => (words, None),
            Invocation::Shell(text) => (with_shell(text), None),
            Invocation::Script { name, content } => {
                let path = format!("{SCRIPT_DIR}/{name}");
                let script = ShownFile {
                    target: PathBuf::from(&path),
                    contents: content.into_bytes(),
                    mode: SCRIPT_MODE,
                };
                (with_shell(path), Some(script))
            }
        };
        Self {
            argv,
            script,
            environment,
            mounts,
            network: run.network,
            hostname: None,
        }
    }
}

impl Transfer {
    /// Returns what the history says of it.
    pub(super) fn history(&self) -> String {
        let sources = &self.sources;
        let mut words = vec![self.keyword.to_owned()];
        words.extend(self.keeps_parents.then(|| "--parents".to_owned()));
        words.extend(self.chown.iter().map(|chown| format!("--chown={chown}")));
        words.extend(self.chmod.iter().map(|chmod| format!("--chmod={chmod}")));
        words.extend(sources.paths.iter().map(|path| without_user(path)));
        words.extend(sources.files.iter().map(|file| format!("<<{}", file.name)));
        words.push(sources.destination.clone());
        words.push("# buildkit".to_owned());
        words.join(" ")
    }
}
