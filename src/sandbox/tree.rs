//! The root directory of a stage as one plain directory, which its steps change in place.
//!
//! For places where no overlay can be mounted. What a step changed is not kept apart here: whoever
//! wants to know it looks at the tree before and after.

use std::sync::Arc;

use crate::fs::{PathError, Root};

use super::command::{Command, Ended, Stream};
use super::run::RunError;
use super::stop::Stop;
use super::{Inner, Sandbox, tree_run};

/// A tree. Kept until the sandbox closes.
#[derive(Debug)]
pub struct Tree {
    inner: Arc<Inner>,
    root: Root,
}

impl Tree {
    /// Makes an empty root directory, as FROM scratch has it: root's, mode 0755.
    pub fn new(sandbox: &Sandbox) -> Result<Self, PathError> {
        let inner = Arc::clone(&sandbox.inner);
        let root = sandbox.new_files_dir()?;
        Ok(Self { inner, root })
    }

    /// Returns the files, to read and write. They are exactly the image's.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Runs `command` and waits for it. What it prints goes to `output`, on this thread, in pieces
    /// as they come. When this returns, no process of it is left, and what it needed besides the
    /// image's files is gone from the tree.
    pub fn run(
        &mut self,
        command: &Command,
        stop: &Stop,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Ended, RunError> {
        tree_run::run(&self.inner, &self.root, command, stop, output)
    }
}
