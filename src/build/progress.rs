//! What a build tells while it runs. How that looks is decided by `cli`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Receives the events of a build, from any thread.
pub type Progress = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// One step of one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepName {
    /// The stage's name, or `stage-N` (from 0) where it has none.
    pub stage: String,
    /// Which step of the stage this is, from 1.
    pub number: usize,
    /// How many steps the stage has.
    pub total: usize,
}

impl fmt::Display for StepName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "[{} {}/{}]", self.stage, self.number, self.total)
    }
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A step begins; `text` is its instruction on one line.
    Started {
        /// The step.
        step: &'a StepName,
        /// Its instruction, on one line.
        text: &'a str,
    },
    /// A step need not be executed: the cache has its layer.
    Cached {
        /// The step.
        step: &'a StepName,
        /// Its instruction, on one line.
        text: &'a str,
    },
    /// The command of a step wrote something.
    Output {
        /// The step.
        step: &'a StepName,
        /// Where the command wrote it.
        stream: OutputStream,
        /// The bytes as they came.
        bytes: &'a [u8],
    },
    /// A step has ended well.
    Done {
        /// The step.
        step: &'a StepName,
        /// How long it took.
        duration: Duration,
    },
    /// The layer of a step is written.
    Layer {
        /// The step.
        step: &'a StepName,
        /// Digest of the compressed layer.
        digest: &'a str,
        /// Compressed size in bytes.
        size: u64,
        /// Number of entries.
        entries: u64,
    },
    /// A layer of a base image is fetched and unpacked.
    Unpacked {
        /// The base image.
        image: &'a str,
        /// Digest of the compressed layer.
        digest: &'a str,
        /// Compressed size in bytes.
        size: u64,
        /// How long fetching and unpacking took.
        duration: Duration,
    },
    /// Something the user should know, in one line.
    Note(&'a str),
    /// Something that may not be what the user wants, in one line.
    Warning(&'a str),
}

/// An output stream of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
