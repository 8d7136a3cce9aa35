//! What is wrong with stages whether or not the target needs them (BuildKit frontend, `convert.go`): what they start from
//! and for which platform, names that no image can have, circles. What their instructions do is looked at only where
//! they are built.

use anyhow::Result;

use crate::dockerfile::{Expander, FromName, MountRequest, Span, Stage};
use crate::image::Reference;

use super::planner::Planner;

impl Planner<'_> {
    /// Fails if something is wrong with any stage of the file.
    pub(super) fn check_stages(&self) -> Result<()> {
        for (index, stage) in self.dockerfile.stages.iter().enumerate() {
            self.check_from(stage, index)?;
        }
        if let Some(circle) = self.dockerfile.circle() {
            let message = format!("circular dependency detected on stage: {}", circle.stage);
            let error = self.text.error_at(circle.spans[0], message);
            return Err(error.also_at(circle.spans[1..].to_vec()).into());
        }
        for (index, stage) in self.dockerfile.stages.iter().enumerate() {
            for statement in &stage.statements {
                for from in statement.instruction.from_names() {
                    self.check_source(from, index, statement.source.span)?;
                }
            }
        }
        Ok(())
    }

    fn check_from(&self, stage: &Stage, index: usize) -> Result<()> {
        let name = self.base_name(stage)?;
        let platform = self.platform_of(stage)?;
        let is_known = self.dockerfile.stage_named(&name, index).is_some()
            || name == "scratch"
            || self.options.named_contexts.find(&name, &platform).is_some();
        match is_known {
            true => Ok(()),
            false => self.reference(&name, stage.source.span).map(|_| ()),
        }
    }

    /// Checks a name that is no stage. Whether a stage may be used is a question of those who need it.
    fn check_source(&self, from: FromName<'_>, stage: usize, span: Span) -> Result<()> {
        let name = from.name();
        let is_known = !matches!(self.dockerfile.source_stage(from, stage), Ok(None))
            || name == "scratch"
            || self
                .options
                .named_contexts
                .find(name, self.platform)
                .is_some();
        match is_known {
            true => Ok(()),
            false => self.reference(name, span).map(|_| ()),
        }
    }

    /// Returns what a stage starts from, expanded; never empty.
    pub(super) fn base_name(&self, stage: &Stage) -> Result<String> {
        let name = self.expand(&stage.from.base, stage.source.span)?;
        if name.is_empty() {
            let message = format!("base name ({}) should not be blank", stage.from.base);
            return Err(self.text.error_at(stage.source.span, message).into());
        }
        Ok(name)
    }

    /// Reads the name of an image.
    pub(super) fn reference(&self, name: &str, span: Span) -> Result<Reference> {
        Reference::parse(name).map_err(|error| {
            let located = self
                .text
                .error_at(span, format!("cannot use the image `{name}`"));
            located.because(error).into()
        })
    }

    /// Checks a mount before anything is looked for that it names, as far as that needs no variable.
    pub(super) fn check_mount(&self, mount: &MountRequest, span: Span) -> Result<()> {
        if !mount.is_literal() {
            return Ok(());
        }
        let nothing = |_: &str| None;
        let mut expander = Expander::new(self.dockerfile.directives.escape, &nothing);
        let resolved = mount.resolve(&mut expander);
        resolved.map(|_| ()).map_err(|error| {
            let located = self.text.error_at(span, "cannot read --mount");
            located.because(error).into()
        })
    }
}
