//! What the key of a step is taken over: an action, in the words of the cache.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cache::CacheKey;
use crate::cache::inputs::{
    AddInputs, CopyInputs, RunInputs, SourceInputs, StepInputs, WorkdirInputs,
};
use crate::dockerfile::NetworkMode;

use super::action::{Action, RunAction, Transfer, Work};

impl Work {
    /// Returns what the step depends on, executed on the files of `parent`. `sources` says what a COPY or ADD takes its
    /// files from; texts in the Dockerfile are added here.
    pub(super) fn inputs(
        &self,
        parent: CacheKey,
        sources: impl FnOnce(&Transfer) -> Result<Vec<SourceInputs>>,
    ) -> Result<StepInputs> {
        Ok(match &self.action {
            Action::Run(run) => StepInputs::Run(self.run_inputs(run, parent)),
            Action::Transfer(transfer) => {
                let copy = copy_inputs(transfer, parent, sources(transfer)?);
                match transfer.keyword {
                    "ADD" => StepInputs::Add(AddInputs {
                        copy,
                        unpacks: transfer.unpacks,
                    }),
                    _ => StepInputs::Copy(copy),
                }
            }
            Action::Workdir => StepInputs::Workdir(WorkdirInputs {
                parent,
                path: self.working_dir.clone(),
                user: self.user.clone(),
            }),
        })
    }

    fn run_inputs(&self, run: &RunAction, parent: CacheKey) -> RunInputs {
        let script = run.script.as_ref();
        let script = script.map(|script| String::from_utf8_lossy(&script.contents).into_owned());
        let mut options = BTreeMap::new();
        // The default is the builder's network, as with `host`.
        if run.network == NetworkMode::None {
            options.insert("network".to_owned(), "none".to_owned());
        }
        RunInputs {
            parent,
            argv: run.argv.clone(),
            script: script.unwrap_or_default(),
            environment: run.environment.iter().cloned().collect(),
            working_dir: self.working_dir.clone(),
            user: self.user.clone(),
            options,
            mounts: Vec::new(),
        }
    }
}

fn copy_inputs(
    transfer: &Transfer,
    parent: CacheKey,
    mut sources: Vec<SourceInputs>,
) -> CopyInputs {
    let inline = transfer.sources.files.iter();
    sources.extend(inline.map(|file| SourceInputs::Inline {
        name: file.name.clone(),
        text: file.content.clone(),
    }));
    CopyInputs {
        parent,
        sources,
        destination: transfer.destination.clone(),
        chown: transfer.chown.clone(),
        chmod: transfer.chmod.clone(),
        options: BTreeMap::new(),
    }
}

/// Returns what is copied by how it comes to be: `origin` is the key of the stage's last step, or of the image.
pub(super) fn by_definition(transfer: &Transfer, origin: &CacheKey) -> Vec<SourceInputs> {
    let paths = transfer.sources.paths.iter();
    let source = |path: &String| SourceInputs::Definition {
        origin: origin.clone(),
        path: path.clone(),
        exclude: transfer.exclude.clone(),
    };
    paths.map(source).collect()
}
