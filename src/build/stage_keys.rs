//! What a step depends on when its turn comes: the files that it takes are here by now, and have their own say.

use anyhow::Result;

use crate::cache::inputs::{SourceInputs, StepInputs};
use crate::cache::{FoundLayer, Lookup};
use crate::dockerfile::Span;

use super::action::{Action, Transfer, Work};
use super::keys::StepKey;
use super::mount_action::BindMount;
use super::plan::FileSource;
use super::stage::StageBuilder;
use super::state::FilesState;
use super::step_cache::StepCaching;
use super::step_inputs::Sources;

impl StageBuilder<'_> {
    /// Looks for a step by what it takes and not by how that came to be; only where the files before it are known.
    pub(super) fn find_by_content(
        &self,
        caching: &StepCaching,
        definition: &StepKey,
        inputs: &StepInputs,
        work: &Work,
    ) -> Option<FoundLayer> {
        // What a linked step depends on is on no files already.
        let on_files = match work.is_linked() {
            true => inputs.clone(),
            false => inputs.clone().on(self.state.known()?.clone()),
        };
        let key = on_files.fingerprint().key();
        if key == definition.key {
            // It was asked for before.
            return None;
        }
        let wanted = caching.wanted(work, &key)?;
        let mut found = self.workshop.wait(caching.look_up(&[wanted]));
        found.pop().and_then(Lookup::hit)
    }

    /// Returns what a step depends on by content: of what it takes from other stages and from images the files are here
    /// by now.
    pub(super) fn content_inputs(
        &self,
        by_definition: &StepInputs,
        work: &Work,
        span: Span,
    ) -> Result<StepInputs> {
        if work.elsewhere().is_empty() && !work.has_remotes() {
            return Ok(by_definition.clone());
        }
        let sources = ByContent {
            builder: self,
            span,
        };
        work.inputs(by_definition.parent().clone(), &sources)
    }

    /// Returns the key under which the step is kept. A file that has changed on its server since the build began is not
    /// what the key by definition stands for; its bytes are.
    pub(super) fn key_now(
        &self,
        key: StepKey,
        inputs: &StepInputs,
        work: &Work,
    ) -> Result<StepKey> {
        let remotes = &self.workshop.remotes;
        let is_as_found = match &work.action {
            Action::Transfer(transfer) => self.workshop.wait(remotes.are_as_found(transfer))?,
            Action::Run(_) | Action::Workdir => true,
        };
        if is_as_found {
            return Ok(key);
        }
        let inputs = inputs.clone().on(key.inputs.parent().clone());
        Ok(StepKey {
            key: inputs.fingerprint().key(),
            inputs,
        })
    }

    /// Says whether the files of build contexts that a step has taken are still what its key says; warns if not. Keys are
    /// worked out before anything is executed, and somebody may write to a context meanwhile: before the step's turn
    /// (`by_definition` and `inputs` differ), or in it.
    pub(super) fn context_is_as_found(
        &self,
        by_definition: &StepInputs,
        inputs: &StepInputs,
        work: &Work,
        span: Span,
    ) -> bool {
        if !work.takes_context() {
            return true;
        }
        let sources = ByContent {
            builder: self,
            span,
        };
        let mut warning =
            "files of the build context have changed since the build began: the step is not cached"
                .to_owned();
        match work.inputs(inputs.parent().clone(), &sources) {
            Ok(now) if now == *inputs && by_definition.finds_its_contents_in(&now) => return true,
            Ok(_) => {}
            // What is gone, or cannot be read any more, is not what it was either.
            Err(error) => warning = format!("{warning}: {error:#}"),
        }
        self.warn(span, &[warning]);
        false
    }

    /// Returns which files a step is executed on, and with.
    pub(super) fn made_of(&self, work: &Work) -> Vec<FilesState> {
        let caching = self.workshop.caching.as_ref();
        let on = match (work.is_linked(), caching) {
            (true, Some(caching)) => {
                FilesState::Known(caching.key_of_nothing(&self.stage.platform))
            }
            (true, None) => FilesState::Unknown,
            (false, _) => self.state.clone(),
        };
        let mut made_of = vec![on];
        for source in work.elsewhere() {
            made_of.push(match source {
                FileSource::Context | FileSource::Directory(_) => continue,
                FileSource::Stage(index) => self.built[index].state.clone(),
                FileSource::Image(image) => match caching {
                    Some(caching) => FilesState::Known(caching.key_of_image(image)),
                    None => FilesState::Unknown,
                },
            });
        }
        made_of
    }
}

/// Files by what they are: all are here.
struct ByContent<'a> {
    builder: &'a StageBuilder<'a>,
    span: Span,
}

impl Sources for ByContent<'_> {
    fn of_transfer(&self, transfer: &Transfer) -> Result<Vec<SourceInputs>> {
        let workshop = self.builder.workshop;
        workshop.with_origin(self.builder.built, &transfer.from, |origin| {
            let remote = |source: &_| workshop.wait(workshop.remotes.by_content(source));
            workshop.content_of(origin, transfer, self.span, &remote)
        })
    }

    fn of_bind(&self, bind: &BindMount) -> Result<SourceInputs> {
        let workshop = self.builder.workshop;
        workshop.content_of_bind(self.builder.built, bind)
    }
}
