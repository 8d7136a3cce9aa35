//! Which images a Dockerfile names: for whoever wants to have them before it is built.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::dockerfile::{Dockerfile, Expander, Instruction, Span, Stage, parse_trigger};
use crate::image::Platform;

use super::DockerfileText;
use super::meta_args::declare_meta_args;
use super::planner::trigger_text;
use super::scope::GlobalScope;

/// An image as a Dockerfile names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NamedImage {
    /// Its variables are expanded.
    pub(super) name: String,
    /// The platform that it is used for.
    pub(super) platform: Platform,
}

/// The images that a Dockerfile names for one platform.
pub(super) struct NamedImages<'a> {
    reader: Reader<'a>,
    /// What any stage starts from, copies from or mounts. Stages and `scratch` are none.
    images: BTreeSet<NamedImage>,
    /// Those that stages start from, by the stages' numbers.
    bases: BTreeMap<usize, NamedImage>,
}

struct Reader<'a> {
    dockerfile: &'a Dockerfile,
    text: &'a DockerfileText,
    platform: &'a Platform,
    global: GlobalScope,
}

impl<'a> NamedImages<'a> {
    /// Finds the images that the Dockerfile itself names. What triggers of base images name besides is known once those
    /// are here: see [`Self::of_triggers`].
    pub(super) fn read(
        dockerfile: &'a Dockerfile,
        text: &'a DockerfileText,
        build_args: &BTreeMap<String, String>,
        platform: &'a Platform,
    ) -> Result<Self> {
        let last = dockerfile.stages.last().and_then(Stage::name);
        let host = Platform::host();
        let mut global = GlobalScope::new(build_args, &host, platform, last.unwrap_or("default"));
        declare_meta_args(&mut global, dockerfile, text)?;
        let mut named = Self {
            reader: Reader {
                dockerfile,
                text,
                platform,
                global,
            },
            images: BTreeSet::new(),
            bases: BTreeMap::new(),
        };
        for index in 0..dockerfile.stages.len() {
            named.add_stage(index)?;
        }
        Ok(named)
    }

    fn add_stage(&mut self, index: usize) -> Result<()> {
        let stage = &self.reader.dockerfile.stages[index];
        match self.reader.base(index)? {
            Some(Base::Image(image)) => {
                self.images.insert(image.clone());
                self.bases.insert(index, image);
            }
            Some(Base::Stage(earlier)) => {
                let statements = &self.reader.dockerfile.stages[earlier].statements;
                let triggers: Vec<String> = statements.iter().filter_map(trigger_text).collect();
                let images = self.reader.of_triggers(&triggers, index)?;
                self.images.extend(images);
            }
            None => {}
        }
        for statement in &stage.statements {
            let span = statement.source.span;
            let images = self.reader.sources(&statement.instruction, span, index)?;
            self.images.extend(images);
        }
        Ok(())
    }

    /// Returns all that the Dockerfile names, each once.
    pub(super) fn images(&self) -> &BTreeSet<NamedImage> {
        &self.images
    }

    /// Returns the images that the triggers of `image` name, in each of the stages that start from it.
    pub(super) fn of_triggers(
        &self,
        image: &NamedImage,
        triggers: &[String],
    ) -> Result<BTreeSet<NamedImage>> {
        let mut images = BTreeSet::new();
        let stages = self.bases.iter().filter(|(_, base)| *base == image);
        for (index, _) in stages {
            images.extend(self.reader.of_triggers(triggers, *index)?);
        }
        Ok(images)
    }
}

/// What a stage starts from, unless that is nothing.
enum Base {
    Image(NamedImage),
    Stage(usize),
}

impl Reader<'_> {
    /// Returns what a stage starts from; `None` for `scratch`.
    fn base(&self, index: usize) -> Result<Option<Base>> {
        let stage = &self.dockerfile.stages[index];
        let span = stage.source.span;
        let name = self.expand(&stage.from.base, span)?;
        if let Some(earlier) = self.dockerfile.stage_named(&name, index) {
            return Ok(Some(Base::Stage(earlier)));
        }
        if name == "scratch" {
            return Ok(None);
        }
        let platform = match &stage.from.platform {
            None => self.platform.clone(),
            Some(word) => self.parse_platform(&self.expand(word, span)?, span)?,
        };
        Ok(Some(Base::Image(NamedImage { name, platform })))
    }

    /// Returns the images that triggers take files from when stage number `stage` begins with them.
    fn of_triggers(&self, triggers: &[String], stage: usize) -> Result<Vec<NamedImage>> {
        let span = self.dockerfile.stages[stage].source.span;
        let mut images = Vec::new();
        for trigger in triggers {
            let statement = parse_trigger(trigger).map_err(|error| {
                let message = format!("cannot read the trigger `ONBUILD {trigger}` of the base");
                self.text.error_at(span, message).because(error)
            })?;
            images.extend(self.sources(&statement.instruction, span, stage)?);
        }
        Ok(images)
    }

    /// Returns the images that an instruction takes files from.
    fn sources(
        &self,
        instruction: &Instruction,
        span: Span,
        stage: usize,
    ) -> Result<Vec<NamedImage>> {
        let mut images = Vec::new();
        for from in instruction.from_names() {
            let found = self.dockerfile.source_stage(from, stage).map_err(|error| {
                let located = self
                    .text
                    .error_at(span, "cannot find where files come from");
                located.because(error)
            })?;
            if found.is_none() && from.name() != "scratch" {
                images.push(NamedImage {
                    name: from.name().to_owned(),
                    platform: self.platform.clone(),
                });
            }
        }
        Ok(images)
    }

    fn parse_platform(&self, text: &str, span: Span) -> Result<Platform> {
        let platform = Platform::parse(text).map_err(|error| {
            let message = format!("cannot read the platform `{text}`");
            self.text.error_at(span, message).because(error)
        })?;
        Ok(platform.normalised())
    }

    fn expand(&self, word: &str, span: Span) -> Result<String> {
        let lookup = |name: &str| self.global.get(name).map(str::to_owned);
        let mut expander = Expander::new(self.dockerfile.directives.escape, &lookup);
        expander.word(word).map_err(|error| {
            let located = self.text.error_at(span, "cannot expand a variable");
            located.because(error).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile::parse;

    fn names(content: &str, build_args: &[(&str, &str)]) -> Vec<String> {
        let text = DockerfileText::new("Dockerfile", content);
        let build_args = build_args
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let platform = Platform::new("linux", "amd64");
        let dockerfile = parse(content).unwrap();
        let named = NamedImages::read(&dockerfile, &text, &build_args, &platform).unwrap();
        named.images().iter().map(show).collect()
    }

    fn show(image: &NamedImage) -> String {
        format!("{} {}", image.name, image.platform)
    }

    #[test]
    fn images_of_every_stage_are_named_and_stages_and_scratch_are_not() {
        let file = "\
FROM debian:12 AS build
FROM scratch
FROM BUILD AS next
COPY --from=build a /
COPY --from=0 a /
COPY --from=busybox:1 a /
RUN --mount=type=bind,from=alpine:3,target=/a --mount=from=build,target=/b --mount=type=cache,target=/c true
FROM debian:12
";
        let expected = ["alpine:3", "busybox:1", "debian:12"];
        let expected = expected.map(|name| format!("{name} linux/amd64"));
        assert_eq!(names(file, &[]), expected);
    }

    #[test]
    fn arguments_come_before_defaults_and_platforms_are_heeded() {
        let file = "\
ARG TAG=1
ARG IMAGE=base:$TAG
FROM --platform=linux/arm64 $IMAGE
FROM --platform=$TARGETPLATFORM ${IMAGE}-slim
";
        let expected = ["base:1 linux/arm64", "base:1-slim linux/amd64"];
        assert_eq!(names(file, &[]), expected);
        let expected = ["base:2 linux/arm64", "base:2-slim linux/amd64"];
        assert_eq!(names(file, &[("TAG", "2")]), expected);
    }
    #[test]
    fn triggers_name_images_where_a_stage_begins_with_them() {
        let file = "\
FROM a:1 AS one
ONBUILD COPY --from=own:1 x /
ONBUILD RUN --mount=from=one,target=/m true
FROM one
FROM a:1 AS three
";
        let expected = ["a:1", "own:1"].map(|name| format!("{name} linux/amd64"));
        assert_eq!(names(file, &[]), expected);
        let text = DockerfileText::new("Dockerfile", file);
        let (platform, dockerfile) = (Platform::new("linux", "amd64"), parse(file).unwrap());
        let named = NamedImages::read(&dockerfile, &text, &BTreeMap::new(), &platform).unwrap();
        let image = |name: &str| NamedImage {
            name: name.to_owned(),
            platform: platform.clone(),
        };
        let of_triggers = |base: &str, triggers: &[&str]| {
            let triggers: Vec<String> = triggers.iter().map(|text| (*text).to_owned()).collect();
            let images = named.of_triggers(&image(base), &triggers)?;
            Ok::<_, anyhow::Error>(images.iter().map(show).collect::<Vec<_>>())
        };
        let found = of_triggers(
            "a:1",
            &["COPY --from=b:1 x /", "RUN --mount=from=c:1,target=/m true"],
        );
        let expected = ["b:1", "c:1"].map(|name| format!("{name} linux/amd64"));
        assert_eq!(found.unwrap(), expected);
        // Nothing starts from it: its triggers do not come.
        assert!(
            of_triggers("own:1", &["COPY --from=b:1 x /"])
                .unwrap()
                .is_empty()
        );
        let error = of_triggers("a:1", &["FROM x"]).unwrap_err();
        assert!(error.to_string().contains("`ONBUILD FROM x`"), "{error}");
        // The first stage that begins with it has none above itself.
        assert!(of_triggers("a:1", &["COPY --from=one x /"]).is_err());
    }
}
