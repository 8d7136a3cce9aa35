//! What a Dockerfile's text does not tell: said by whoever knows files, images and flags.

use std::collections::{BTreeMap, BTreeSet};

use crate::dockerfile::Statement;

/// What is known around a Dockerfile.
pub struct Facts<'f> {
    /// Values of `--build-arg` by name.
    pub build_args: &'f BTreeMap<String, String>,
    /// Names and values of the arguments that need no declaration in FROM; values of
    /// `--build-arg` not counted.
    pub automatic_args: Vec<(String, String)>,
    /// Numbers of the stages that are built; `None` for all. Rules on what instructions mean
    /// look at no others, rules on how they are written look at all.
    pub stages: Option<BTreeSet<usize>>,
    /// What is known of the images that stages start from, by the number of the stage. A stage
    /// from an image that is missing here may inherit anything.
    pub bases: BTreeMap<usize, BaseFacts>,
    /// Says whether a text can be the name of an image.
    pub is_reference: &'f dyn Fn(&str) -> bool,
    /// Says whether an ignore file keeps a path out of the context, and nothing brings it back.
    pub is_ignored: &'f dyn Fn(&str) -> bool,
}

/// What is known of the image that a stage starts from.
#[derive(Debug, Clone, Default)]
pub struct BaseFacts {
    /// Names and values of its variables.
    pub env: Vec<(String, String)>,
    /// Whether it has a SHELL of its own.
    pub has_shell: bool,
    /// The instructions that it asks for.
    pub triggers: Vec<Statement>,
    /// The platform that was asked for and the one that it is for, where they are not the same.
    pub other_platform: Option<(String, String)>,
}

impl Facts<'_> {
    /// Says whether a stage is built.
    pub(super) fn is_built(&self, stage: usize) -> bool {
        let stages = self.stages.as_ref();
        stages.is_none_or(|stages| stages.contains(&stage))
    }
}
