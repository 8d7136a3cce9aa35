//! Which images a Dockerfile names: for whoever wants to have them before it is built.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::dockerfile::{Dockerfile, Expander, Span, Stage, Statement};
use crate::image::Platform;

use super::DockerfileText;
use super::planner::declare_meta_args;
use super::scope::GlobalScope;

/// An image as a Dockerfile names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NamedImage {
    /// Its variables are expanded.
    pub(super) name: String,
    /// The platform that it is used for.
    pub(super) platform: Platform,
}

/// Returns the images that any stage starts from, copies from or mounts, each once. Stages and `scratch` are none.
///
/// Triggers of base images may name further ones, which nobody knows before they are pulled.
pub(super) fn named_images(
    dockerfile: &Dockerfile,
    text: &DockerfileText,
    build_args: &BTreeMap<String, String>,
    platform: &Platform,
) -> Result<BTreeSet<NamedImage>> {
    let last = dockerfile.stages.last().and_then(Stage::name);
    let host = Platform::host();
    let mut global = GlobalScope::new(build_args, &host, platform, last.unwrap_or("default"));
    declare_meta_args(&mut global, dockerfile, text)?;
    let reader = Reader {
        dockerfile,
        text,
        platform,
        global,
    };
    let mut images = BTreeSet::new();
    for index in 0..dockerfile.stages.len() {
        images.extend(reader.base(index)?);
        for statement in &dockerfile.stages[index].statements {
            images.extend(reader.sources(statement, index)?);
        }
    }
    Ok(images)
}

struct Reader<'a> {
    dockerfile: &'a Dockerfile,
    text: &'a DockerfileText,
    platform: &'a Platform,
    global: GlobalScope,
}

impl Reader<'_> {
    /// Returns the image that a stage starts from, if it is one.
    fn base(&self, index: usize) -> Result<Option<NamedImage>> {
        let stage = &self.dockerfile.stages[index];
        let span = stage.source.span;
        let name = self.expand(&stage.from.base, span)?;
        if name == "scratch" || self.dockerfile.stage_named(&name, index).is_some() {
            return Ok(None);
        }
        let platform = match &stage.from.platform {
            None => self.platform.clone(),
            Some(word) => self.parse_platform(&self.expand(word, span)?, span)?,
        };
        Ok(Some(NamedImage { name, platform }))
    }

    /// Returns the images that an instruction takes files from.
    fn sources(&self, statement: &Statement, stage: usize) -> Result<Vec<NamedImage>> {
        let mut images = Vec::new();
        for from in statement.instruction.from_names() {
            let found = self.dockerfile.source_stage(from, stage).map_err(|error| {
                let span = statement.source.span;
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
        let images = named_images(&dockerfile, &text, &build_args, &platform).unwrap();
        let show = |image: NamedImage| format!("{} {}", image.name, image.platform);
        images.into_iter().map(show).collect()
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
}
