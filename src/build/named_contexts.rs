//! What `--build-context` gives, by name: it stands in for images and stages that the Dockerfile names (BuildKit frontend,
//! "named contexts").
//!
//! Nothing here is looked up: a context that no stage uses may lead nowhere.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use crate::image::platform::PlatformError;
use crate::image::reference::{DOCKER_HUB, ReferenceError};
use crate::image::{Digest, Platform, Reference};

/// What stands in for an image or a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// No files, as `FROM scratch`.
    Scratch,
    /// An image in a registry.
    Image(Reference),
    /// An image in an OCI image layout.
    Layout(LayoutImage),
    /// The files of a directory.
    Directory(PathBuf),
    /// The files behind a URL.
    Remote(RemoteUrl),
}

/// A URL as it was typed. It may hold a password, so nobody prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl(String);

impl RemoteUrl {
    /// Keeps a URL.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns it as it was typed.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RemoteUrl(..)")
    }
}

/// An image in an OCI image layout. With neither tag nor digest it is the one called `latest`, else the only one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayoutImage {
    /// The layout's directory.
    pub dir: PathBuf,
    /// The name that its index has for the image.
    pub tag: Option<String>,
    /// Digest of the manifest, or of an index.
    pub digest: Option<Digest>,
}

/// All of them, by the names that they stand in for.
#[derive(Debug, Clone, Default)]
pub struct NamedContexts(BTreeMap<String, NamedContext>);

/// Names that nothing stands in for (BuildKit frontend, "named contexts").
const NEVER_REPLACED: [&str; 2] = ["scratch", "context"];

/// Parts a name from the platform that it is for.
const PLATFORM_SEPARATOR: &str = "::";

/// Why a name can be nobody's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ContextNameError {
    /// It is neither an image's nor a stage's.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// What it is for is no platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// It means something else already.
    #[error("`{0}` cannot be replaced")]
    Reserved(String),
}

impl NamedContexts {
    /// Adds a context under a name as it was typed: `NAME` or `NAME::OS/ARCHITECTURE`. It takes the place of one that has
    /// the same name.
    pub fn add(&mut self, typed: &str, context: NamedContext) -> Result<(), ContextNameError> {
        let (name, platform) = match typed.split_once(PLATFORM_SEPARATOR) {
            Some((name, platform)) => (name, Some(platform)),
            None => (typed, None),
        };
        let mut key = lookup_name(name)?;
        if NEVER_REPLACED.contains(&key.as_str()) {
            return Err(ContextNameError::Reserved(name.to_owned()));
        }
        if let Some(platform) = platform {
            key = for_platform(&key, &Platform::parse(platform)?);
        }
        self.0.insert(key, context);
        Ok(())
    }

    /// Returns what stands in for the image or stage `name` on a platform: what is for that platform alone comes first.
    pub(super) fn find(&self, name: &str, platform: &Platform) -> Option<&NamedContext> {
        let name = lookup_name(name).ok()?;
        let for_platform = for_platform(&name, platform);
        self.0.get(&for_platform).or_else(|| self.0.get(&name))
    }

    /// Returns the directories among them.
    pub fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.values().filter_map(|context| match context {
            NamedContext::Directory(path) => Some(path),
            NamedContext::Scratch
            | NamedContext::Image(_)
            | NamedContext::Layout(_)
            | NamedContext::Remote(_) => None,
        })
    }
}

/// Returns a name as all spellings of it have it: without the registry and the namespace that are the default, without
/// `:latest`, and the repository in lower case.
fn lookup_name(name: &str) -> Result<String, ReferenceError> {
    let reference = Reference::parse(&lower_case_repository(name))?;
    let familiar = match reference.registry() {
        DOCKER_HUB => {
            let repository = reference.repository();
            let official = repository.strip_prefix("library/");
            // `library/a/b` would be another image without its first part.
            let official = official.filter(|rest| !rest.contains('/'));
            official.unwrap_or(repository).to_owned()
        }
        _ => reference.name(),
    };
    Ok(match (reference.tag(), reference.digest()) {
        (Some("latest") | None, None) => familiar,
        (Some(tag), None) => format!("{familiar}:{tag}"),
        (None, Some(digest)) => format!("{familiar}@{digest}"),
        (Some(tag), Some(digest)) => format!("{familiar}:{tag}@{digest}"),
    })
}

/// Stages are found in any letter case. A tag is not: `a:B` and `a:b` are two images.
fn lower_case_repository(name: &str) -> String {
    let path_end = name.rfind('/').map_or(0, |slash| slash + 1);
    let end = name[path_end..].find([':', '@']);
    let end = end.map_or(name.len(), |end| path_end + end);
    format!("{}{}", name[..end].to_lowercase(), &name[end..])
}

fn for_platform(name: &str, platform: &Platform) -> String {
    let platform = platform.normalised();
    format!("{name}{PLATFORM_SEPARATOR}{platform}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(path: &str) -> NamedContext {
        NamedContext::Directory(PathBuf::from(path))
    }

    fn found<'a>(contexts: &'a NamedContexts, name: &str, platform: &str) -> Option<&'a str> {
        let platform = Platform::parse(platform).unwrap();
        match contexts.find(name, &platform)? {
            NamedContext::Directory(path) => path.to_str(),
            _ => None,
        }
    }

    #[test]
    fn all_spellings_of_a_name_are_one() {
        let mut contexts = NamedContexts::default();
        contexts
            .add("docker.io/library/Alpine:latest", directory("a"))
            .unwrap();
        contexts.add("Build", directory("b")).unwrap();
        contexts
            .add("REG.lan:5000/team/app:Edge", directory("c"))
            .unwrap();
        let find = |name| found(&contexts, name, "linux/amd64");
        for name in ["alpine", "alpine:latest", "library/alpine", "ALPINE"] {
            assert_eq!(find(name), Some("a"), "{name}");
        }
        assert_eq!(find("build"), Some("b"));
        assert_eq!(find("BUILD"), Some("b"));
        assert_eq!(find("reg.lan:5000/team/app:Edge"), Some("c"));
        for name in ["alpine:3", "reg.lan:5000/team/app:edge", "team/app", "$x"] {
            assert_eq!(find(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_for_a_platform_comes_first_there() {
        let mut contexts = NamedContexts::default();
        contexts.add("app:1", directory("any")).unwrap();
        contexts
            .add("app:1::linux/aarch64/v8", directory("arm"))
            .unwrap();
        contexts.add("only::linux/arm/v7", directory("v7")).unwrap();
        assert_eq!(found(&contexts, "app:1", "linux/arm64"), Some("arm"));
        assert_eq!(found(&contexts, "app:1", "linux/amd64"), Some("any"));
        assert_eq!(found(&contexts, "only", "linux/arm/v7"), Some("v7"));
        assert_eq!(found(&contexts, "only", "linux/amd64"), None);
    }

    #[test]
    fn nothing_of_a_url_is_shown() {
        let url = RemoteUrl::new("https://user:secret@host/x.git");
        let shown = format!("{:?}", NamedContext::Remote(url));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn scratch_and_context_are_not_replaced_and_nonsense_is_refused() {
        let mut contexts = NamedContexts::default();
        for name in ["scratch", "context", "Scratch", "context::linux/amd64"] {
            let error = contexts.add(name, NamedContext::Scratch).unwrap_err();
            assert!(matches!(error, ContextNameError::Reserved(_)), "{name}");
        }
        for name in ["", "a b", "-a", "https://x", "a::", "a::b/c/d/e"] {
            assert!(contexts.add(name, NamedContext::Scratch).is_err(), "{name}");
        }
    }
}
