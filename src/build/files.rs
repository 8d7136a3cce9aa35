//! The files of a stage, in whichever way the place keeps them.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use crate::fs::{KnownContents, Root, copy_tree};
use crate::image::unpack::{Form, UnpackOptions, unpack_and_note};
use crate::sandbox::{LayerDir, Rootfs, Sandbox, Step, Tree, View};
use crate::snapshot::Excluded;
use crate::snapshot::{Index, ScanDiff};

/// The files of a stage.
pub(super) enum StageFiles {
    /// A stack of layers, which stages share.
    Layers(Rootfs),
    /// A directory of the stage's own.
    Tree(Box<StageTree>),
}

impl StageFiles {
    /// Puts a directory on top that became a layer of a stack.
    pub(super) fn with_dir(self, dir: LayerDir) -> Result<Self> {
        match self {
            Self::Layers(mut rootfs) => {
                rootfs.push_files(dir)?;
                Ok(Self::Layers(rootfs))
            }
            Self::Tree(_) => unreachable!("a directory is a layer only in a stack of them"),
        }
    }
}

/// The files of a stage to read: they stay as they are.
pub(super) enum StageView {
    /// A mounted stack of layers.
    Layers(Arc<View>),
    /// A directory that no step changes any more.
    Tree(Root),
}

impl StageView {
    /// Returns the tree.
    pub(super) fn root(&self) -> &Root {
        match self {
            Self::Layers(view) => view.root(),
            Self::Tree(root) => root,
        }
    }
}

/// A plain directory with what is known of its files.
pub(super) struct StageTree {
    tree: Tree,
    knowledge: Knowledge,
}

/// What is known of the files of a tree.
enum Knowledge {
    /// No step has been watched yet: what was unpacked.
    Unpacked(KnownContents),
    /// What they were after the last step.
    Indexed(Index),
    /// Steps have changed them and nobody looked: no layer is made of them.
    Nothing,
}

impl StageTree {
    /// Makes an empty tree.
    pub(super) fn new(sandbox: &Sandbox) -> Result<Self> {
        Ok(Self {
            tree: Tree::new(sandbox)?,
            knowledge: Knowledge::Unpacked(KnownContents::default()),
        })
    }

    /// Returns where the files are.
    pub(super) fn path(&self) -> &Path {
        self.tree.root().dir().path()
    }

    /// Returns a tree with the same files, of which as much is known.
    pub(super) fn copy(&self, sandbox: &Sandbox) -> Result<Self> {
        let mut known = KnownContents::default();
        let tree = Tree::new(sandbox)?;
        copy_tree(self.tree.root(), tree.root(), &mut known)?;
        Ok(Self {
            tree,
            knowledge: Knowledge::Unpacked(known),
        })
    }

    /// Applies a layer on top of the files, before the first step or between two.
    pub(super) fn unpack(&mut self, tar: impl BufRead) -> Result<()> {
        let mut known = match std::mem::replace(&mut self.knowledge, Knowledge::Nothing) {
            Knowledge::Unpacked(known) => known,
            Knowledge::Indexed(_) | Knowledge::Nothing => KnownContents::default(),
        };
        let options = UnpackOptions {
            form: Form::Tree,
            owner: None,
        };
        unpack_and_note(tar, self.tree.root(), &options, &mut known)?;
        self.knowledge = Knowledge::Unpacked(known);
        Ok(())
    }

    /// Returns the files to read, for as long as no step changes them.
    pub(super) fn view(&self) -> Result<StageView> {
        let dir = self.tree.root().dir().try_clone()?;
        Ok(StageView::Tree(Root::from_dir(dir)))
    }

    /// Runs `work` in a step whose changes go into no layer.
    pub(super) fn in_unwatched_step(
        &mut self,
        work: impl FnOnce(&mut Step<'_>) -> Result<()>,
    ) -> Result<()> {
        self.knowledge = Knowledge::Nothing;
        work(&mut Step::Tree(&mut self.tree))
    }

    /// Runs `work` in a step and gives what it changed to `write`, which must be done with it before
    /// the next step begins. `excluded` are paths that belong into no layer.
    pub(super) fn in_step<T>(
        &mut self,
        excluded: &Excluded,
        work: impl FnOnce(&mut Step<'_>) -> Result<()>,
        write: impl FnOnce(&ScanDiff<'_>) -> Result<T>,
    ) -> Result<T> {
        let before = self.index(excluded)?;
        before.wait_until_changes_show();
        work(&mut Step::Tree(&mut self.tree))?;
        let root = self.tree.root();
        let after = before.retake(root)?;
        let written = write(&ScanDiff {
            before: &before,
            after: &after,
            root,
            excluded,
        })?;
        self.knowledge = Knowledge::Indexed(after);
        Ok(written)
    }

    /// Takes the index of the files as they are now.
    fn index(&mut self, excluded: &Excluded) -> Result<Index> {
        let known = match std::mem::replace(&mut self.knowledge, Knowledge::Nothing) {
            Knowledge::Indexed(index) => return Ok(index),
            Knowledge::Unpacked(known) => known,
            Knowledge::Nothing => KnownContents::default(),
        };
        Ok(Index::take(self.tree.root(), excluded, &known)?)
    }
}
