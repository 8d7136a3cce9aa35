//! The files of a COPY or an ADD with `--link`: copied onto nothing, and put on top of a stage's as a layer of an image is.
//!
//! Where stages are stacks of layers, the directory itself becomes one of them. Where they are plain directories, the layer
//! is unpacked into them.

use anyhow::Result;

use crate::dockerfile::Span;
use crate::fs::{PathError, Root};
use crate::sandbox::{LayerDir, Sandbox, StorageKind};

use super::built::Above;
use super::layers::StageLayer;
use super::stage::StageBuilder;

/// Files of no stage yet.
pub(super) struct LinkedFiles {
    pub(super) root: Root,
    /// What they are to a stack of layers. `None` where there are none.
    dir: Option<LayerDir>,
}

impl LinkedFiles {
    /// Begins with none.
    pub(super) fn new(sandbox: &Sandbox) -> std::result::Result<Self, PathError> {
        match sandbox.storage() {
            StorageKind::Layers(_) => {
                let dir = sandbox.new_layer_dir()?;
                let root = Root::from_dir(dir.open()?);
                let dir = Some(dir);
                Ok(Self { root, dir })
            }
            StorageKind::Trees => {
                let root = sandbox.new_files_dir()?;
                Ok(Self { root, dir: None })
            }
        }
    }
}

impl StageBuilder<'_> {
    /// Makes a layer of files, and puts them on top of the stage's, which need not be here yet.
    pub(super) fn put_on_top(&mut self, files: LinkedFiles, span: Span) -> Result<StageLayer> {
        let LinkedFiles { root, dir } = files;
        self.note_hidden(self.workshop.excluded().has_any_in(&root)?);
        let (workshop, name) = (self.workshop, self.name);
        let makes_layers = self.stage.makes_layers;
        let Some(dir) = dir else {
            if workshop.leaves_paths_out() {
                return self.put_twice(root, span);
            }
            // Compressed only if somebody else reads it.
            let layer = workshop.layer_of_files(root, makes_layers, name, span);
            self.stack.push(Above::Layer(layer.clone()));
            return Ok(match makes_layers {
                true => layer,
                false => workshop.no_layer(),
            });
        };
        self.stack.push(Above::Dir(dir));
        Ok(match makes_layers {
            true => workshop.layer_of_dir(root, name, span),
            false => workshop.no_layer(),
        })
    }

    /// Makes one layer for the image and another one for the stage's directory, in which later steps see everything.
    fn put_twice(&mut self, root: Root, span: Span) -> Result<StageLayer> {
        let (workshop, name) = (self.workshop, self.name);
        let same = Root::from_dir(root.dir().try_clone()?);
        self.stack
            .push(Above::Layer(workshop.layer_for_tree(same, name, span)));
        Ok(match self.stage.makes_layers {
            true => workshop.layer_of_dir(root, name, span),
            false => workshop.no_layer(),
        })
    }
}
