//! What evaluating gives: the stages with all their variables expanded.

use crate::dockerfile::Span;

use super::StepName;
use super::action::Work;
use super::draft::ImageDraft;
use super::scope::StageScope;

/// A stage, evaluated.
pub(super) struct EvaluatedStage {
    /// The FROM, as it is announced.
    pub(super) from: EvaluatedStep,
    /// Its steps in order.
    pub(super) steps: Vec<EvaluatedStep>,
    /// What it makes in the end, but for its layers.
    pub(super) draft: ImageDraft,
    /// Variables at its end: a stage that is built on it inherits them.
    pub(super) scope: StageScope,
}

impl EvaluatedStage {
    /// Returns the same stage with other steps.
    pub(super) fn with_steps(&self, steps: Vec<EvaluatedStep>) -> Self {
        Self {
            from: EvaluatedStep {
                name: self.from.name.clone(),
                text: self.from.text.clone(),
                span: self.from.span,
                work: None,
            },
            steps,
            draft: self.draft.clone(),
            scope: self.scope.clone(),
        }
    }
}

/// A step, evaluated.
pub(super) struct EvaluatedStep {
    /// Which one it is.
    pub(super) name: StepName,
    /// The instruction as it is announced, on one line.
    pub(super) text: String,
    /// Where messages say that it is.
    pub(super) span: Span,
    /// What it does to files. `None` for one that changes the image's config only.
    pub(super) work: Option<Work>,
}
