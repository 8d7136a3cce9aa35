//! What the tests of this topic build again and again: a context, a registry, and images that must be the same.

use crate::support::executor::Build;
use crate::support::oracle::complaints_about;
use crate::support::{BaseImage, Context, Executor, Image, Registry, Who};

/// Every layer's latest time: what is built twice from the same input has one digest.
pub(crate) const EPOCH: &str = "1577836800";

/// A context, and the repository in which its images and its cache are.
pub(crate) struct Project<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) context: Context,
    repository: String,
}

/// A build that succeeded, and what it pushed.
pub(crate) struct Built {
    pub(crate) build: Build,
    /// The manifest's.
    pub(crate) digest: String,
}

impl<'a> Project<'a> {
    pub(crate) fn new(registry: &'a Registry, repository: &str, context: Context) -> Self {
        Self {
            registry,
            context,
            repository: repository.to_owned(),
        }
    }

    /// An executor of root's that pushes `destination`. The context is left to its owners.
    pub(crate) fn executor(&self) -> Executor {
        self.executor_to(&self.destination())
    }

    /// The same, with another destination.
    pub(crate) fn executor_to(&self, destination: &str) -> Executor {
        Executor::new(Who::Root)
            .arg("--context")
            .arg(self.context.path())
            .arg("--dockerfile")
            .arg(self.context.path().join("Dockerfile"))
            .destination(destination)
            .env("SOURCE_DATE_EPOCH", EPOCH)
    }

    /// Builds with more flags.
    pub(crate) fn build(&self, flags: &[&str]) -> Built {
        self.run(self.executor().args(flags))
    }

    /// Runs an executor of this project's, which must push its image.
    pub(crate) fn run(&self, executor: Executor) -> Built {
        let digest_file = executor.out("digest");
        let build = executor.arg("--digest-file").arg(digest_file).run();
        build.assert_success();
        let digest = build.read("digest").trim().to_owned();
        Built { build, digest }
    }

    /// Fails the test unless a build without any cache makes the same image, digest for digest, and a sound one.
    pub(crate) fn assert_same_as_uncached(&self, cached: &Built, flags: &[&str], base: &BaseImage) {
        let uncached = self.build(flags);
        assert_eq!(
            cached.digest,
            uncached.digest,
            "cached, then uncached\n{}\n{}",
            cached.build.report(),
            uncached.build.report()
        );
        let image = self.pull(&cached.digest);
        let complaints = complaints_about(&image, &base.diff_ids);
        assert_eq!(complaints, Vec::<String>::new());
    }

    /// The image that a build has pushed.
    pub(crate) fn pull(&self, digest: &str) -> Image {
        Image::pull(self.registry, &format!("{}@{digest}", self.repository))
    }

    /// The repository that holds the cache by default.
    pub(crate) fn cache_repository(&self) -> String {
        format!("{}/cache", self.repository)
    }

    /// `<repository>:1`, in full.
    pub(crate) fn destination(&self) -> String {
        self.registry.reference(&format!("{}:1", self.repository))
    }
}
