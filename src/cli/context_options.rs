//! `--build-context`: what stands in for images and stages, from words to meaning.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::build::{LayoutImage, NamedContext, NamedContexts, RemoteUrl};
use crate::image::{Digest, Reference};

use super::environment::absolute;

/// What a value begins with that means files behind a URL (BuildKit, util/gitutil and client/llb).
const REMOTE: [&str; 6] = [
    "http://",
    "https://",
    "git://",
    "ssh://",
    "git@",
    "github.com/",
];

/// Reads each `--build-context`. Nothing is opened: one that no stage uses may lead nowhere.
pub(super) fn named_contexts(arguments: &[String], current_dir: &Path) -> Result<NamedContexts> {
    let mut contexts = NamedContexts::default();
    for argument in arguments {
        // What stands behind the name may be a URL with a password.
        let shown = argument.split(['=', ':']).next().unwrap_or_default();
        let failed = || format!("cannot use `--build-context {shown}=…`");
        let pair = argument.split_once('=');
        let (name, value) = pair.context("expected NAME=CONTEXT").with_context(failed)?;
        let context = named_context(value, current_dir).with_context(failed)?;
        contexts.add(name, context).with_context(failed)?;
    }
    Ok(contexts)
}

fn named_context(value: &str, current_dir: &Path) -> Result<NamedContext> {
    if value.is_empty() {
        bail!("the context is empty");
    }
    if let Some(image) = value.strip_prefix("docker-image://") {
        return Ok(match image {
            "scratch" => NamedContext::Scratch,
            _ => NamedContext::Image(Reference::parse(image)?),
        });
    }
    if let Some(layout) = value.strip_prefix("oci-layout://") {
        return Ok(NamedContext::Layout(layout_image(layout, current_dir)?));
    }
    if REMOTE.iter().any(|prefix| value.starts_with(prefix)) {
        return Ok(NamedContext::Remote(RemoteUrl::new(value)));
    }
    if let Some((scheme, _)) = value.split_once("://") {
        bail!("not supported: a named context from {scheme}://");
    }
    for scheme in ["target:", "input:"] {
        if value.starts_with(scheme) {
            bail!("not supported: `{scheme}`, which is for builds that depend on each other");
        }
    }
    Ok(NamedContext::Directory(absolute(
        Path::new(value),
        current_dir,
    )))
}

/// Reads `PATH[:TAG][@DIGEST]`.
pub(super) fn layout_image(text: &str, current_dir: &Path) -> Result<LayoutImage> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(Digest::parse(digest)?)),
        None => (text, None),
    };
    let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match rest[name_start..].split_once(':') {
        Some((name, tag)) => (
            &rest[..name_start + name.len()],
            Some(tag).filter(|tag| !tag.is_empty()),
        ),
        None => (rest, None),
    };
    if path.is_empty() {
        bail!("the layout has no path");
    }
    Ok(LayoutImage {
        dir: absolute(&PathBuf::from(path), current_dir),
        tag: tag.map(str::to_owned),
        digest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<NamedContext> {
        named_context(value, Path::new("/job"))
    }

    #[test]
    fn each_form_has_its_meaning() {
        let digest = Digest::of(b"x");
        let layout = |dir: &str, tag: Option<&str>, digest: Option<Digest>| {
            NamedContext::Layout(LayoutImage {
                dir: PathBuf::from(dir),
                tag: tag.map(str::to_owned),
                digest,
            })
        };
        let cases = [
            ("docker-image://scratch".to_owned(), NamedContext::Scratch),
            (
                "docker-image://alpine:3".to_owned(),
                NamedContext::Image(Reference::parse("alpine:3").unwrap()),
            ),
            (
                "oci-layout://out".to_owned(),
                layout("/job/out", None, None),
            ),
            (
                "oci-layout:///a:b/out:v1".to_owned(),
                layout("/a:b/out", Some("v1"), None),
            ),
            (
                format!("oci-layout:///out@{digest}"),
                layout("/out", None, Some(digest.clone())),
            ),
            (
                format!("oci-layout://./out:v1@{digest}"),
                layout("/job/./out", Some("v1"), Some(digest)),
            ),
            (
                "sub/dir".to_owned(),
                NamedContext::Directory(PathBuf::from("/job/sub/dir")),
            ),
            (
                "https://host/x.git".to_owned(),
                NamedContext::Remote(RemoteUrl::new("https://host/x.git")),
            ),
            (
                "git@host:x".to_owned(),
                NamedContext::Remote(RemoteUrl::new("git@host:x")),
            ),
        ];
        for (value, expected) in cases {
            assert_eq!(read(&value).unwrap(), expected, "{value}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for value in [
            "",
            "docker-image://",
            "docker-image://A",
            "oci-layout://",
            "oci-layout://:v1",
            "oci-layout://x@sha256:1",
            "s3://bucket",
            "target:app",
        ] {
            assert!(read(value).is_err(), "{value}");
        }
        let one = |argument: &str| named_contexts(&[argument.to_owned()], Path::new("/"));
        for argument in ["name", "=x", "scratch=x", "context=x", "a b=x"] {
            let error = format!("{:#}", one(argument).unwrap_err());
            let name = argument.split('=').next().unwrap();
            assert!(error.contains(name), "{error}");
        }
        assert!(one("name=x").is_ok());
        let error = format!("{:#}", one("name=s3://key:secret@bucket").unwrap_err());
        assert!(!error.contains("secret"), "{error}");
    }
}
