//! Where most tests begin and end: a registry with a base in it, and a build that must succeed.

use super::account::Who;
use super::base_image::{Base, BaseImage};
use super::context::Context;
use super::executor::Executor;
use super::image::Image;
use super::oracle::check_image;
use super::registry::Registry;
use super::tree::Tree;

/// The name that a site's builds are pushed as.
pub(crate) const APP: &str = "app:1";

/// A registry and the base in it.
pub(crate) struct Site {
    pub(crate) registry: Registry,
    pub(crate) base: BaseImage,
}

impl Site {
    pub(crate) fn busybox() -> Self {
        Self::with(Base::Busybox)
    }

    pub(crate) fn debian() -> Self {
        Self::with(Base::Debian)
    }

    fn with(base: Base) -> Self {
        let registry = Registry::start();
        let base = base.push_to(&registry);
        Self { registry, base }
    }

    /// A context whose Dockerfile is `FROM` the base and the lines given: line 2 is the first of them.
    pub(crate) fn context(&self, lines: &str) -> Context {
        Context::new(format!("FROM {}\n{lines}\n", self.base))
    }

    /// An executor for the context that pushes `APP`.
    pub(crate) fn executor(&self, who: Who, context: &Context) -> Executor {
        Executor::new(who).context(context).destination(&self.app())
    }

    /// Builds and pushes `APP`, and returns the image that the oracle has passed.
    pub(crate) fn build(&self, who: Who, context: &Context) -> Image {
        self.build_with(self.executor(who, context))
    }

    /// Builds as root and as a user, which must give the same files, and returns what the user's build made.
    pub(crate) fn build_as_both(&self, context: &Context) -> Tree {
        let as_root = self.build(Who::Root, context).tree().without_times();
        let image = self.build(Who::User, context);
        let differences = as_root.differences(&image.tree().without_times());
        assert_eq!(
            differences,
            Vec::<String>::new(),
            "root's build, then the user's"
        );
        image.tree()
    }

    /// Like `build`, with an executor that the test has given more flags.
    pub(crate) fn build_with(&self, executor: Executor) -> Image {
        executor.run().assert_success();
        check_image(&self.registry, APP, &self.base)
    }

    /// `APP`'s full reference.
    pub(crate) fn app(&self) -> String {
        self.registry.reference(APP)
    }

    /// Fails the test if any tag of the application was pushed.
    pub(crate) fn assert_nothing_pushed(&self) {
        assert_eq!(self.registry.tags("app"), Vec::<String>::new());
    }
}
