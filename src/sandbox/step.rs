//! A step, in whichever way the place keeps files.

use crate::fs::Root;

use super::command::{Command, Ended, Stream};
use super::overlay_step::{FrozenStep, OverlayStep};
use super::rootfs::RootfsError;
use super::run::RunError;
use super::stop::Stop;
use super::tree::Tree;

/// A root directory that can be written to and run commands in.
#[derive(Debug)]
pub enum Step<'a> {
    /// In a stack of layers.
    Overlay(OverlayStep<'a>),
    /// In a plain directory.
    Tree(&'a mut Tree),
}

impl Step<'_> {
    /// Returns the tree to read and write. It has exactly the image's files: the mount points that
    /// commands need are not in it.
    pub fn root(&mut self) -> Result<&Root, RootfsError> {
        match self {
            Self::Overlay(step) => step.root(),
            Self::Tree(tree) => Ok(tree.root()),
        }
    }

    /// Runs `command` and waits for it. What it prints goes to `output`, on this thread, in pieces
    /// as they come. When this returns, no process of it is left.
    pub fn run(
        &mut self,
        command: &Command,
        stop: &Stop,
        output: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Ended, RunError> {
        match self {
            Self::Overlay(step) => step.run(command, stop, output).map(Ended::from),
            Self::Tree(tree) => tree.run(command, stop, output),
        }
    }

    /// Ends the step. Returns its changes where they are kept apart: in a plain directory they are
    /// not.
    pub fn freeze(self) -> Result<Option<FrozenStep>, RootfsError> {
        match self {
            Self::Overlay(step) => Ok(Some(step.freeze()?)),
            Self::Tree(_) => Ok(None),
        }
    }
}
