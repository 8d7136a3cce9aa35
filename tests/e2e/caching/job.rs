//! A job that builds again and again in one repository, and which of its steps were executed.

use crate::support::executor::Build;
use crate::support::{Context, Executor, Image, Site, Who, check_image};

/// Times of the images that are compared.
const EPOCH: &str = "1700000000";

/// What a job builds.
#[derive(Clone)]
pub(crate) struct Input {
    pub(crate) dockerfile: String,
    pub(crate) files: Vec<(&'static str, Entry)>,
    pub(crate) args: Vec<String>,
}

/// Something in the build context.
#[derive(Clone)]
pub(crate) enum Entry {
    File(&'static str),
    Mode(&'static str, u32),
    /// A file with a time of its own.
    Time(&'static str, i64),
    Link(&'static str),
}

impl Input {
    /// Replaces a text of the Dockerfile that must be there.
    pub(crate) fn replace(&mut self, from: &str, to: &str) {
        assert!(self.dockerfile.contains(from), "{from}");
        self.dockerfile = self.dockerfile.replace(from, to);
    }

    /// Puts something into the context, in place of what has the path.
    pub(crate) fn put(&mut self, path: &'static str, entry: Entry) {
        self.remove(path);
        self.files.push((path, entry));
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.files.retain(|(known, _)| *known != path);
    }

    pub(crate) fn arg(&mut self, arg: &str) {
        self.args.push(arg.to_owned());
    }

    fn context(&self) -> Context {
        let files = self.files.iter();
        files.fold(
            Context::new(&self.dockerfile),
            |context, (path, entry)| match entry {
                Entry::File(text) => context.file(path, text),
                Entry::Mode(text, mode) => context.file(path, text).mode(path, *mode),
                Entry::Time(text, time) => context.file(path, text).mtime(path, *time),
                Entry::Link(target) => context.symlink(path, target),
            },
        )
    }
}

/// A repository that builds are pushed to.
pub(crate) struct Job<'a> {
    site: &'a Site,
    repository: String,
    flags: Vec<String>,
}

/// Which steps that work on files a build has taken from a cache, and which it has executed: their instructions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) cached: Vec<String>,
    pub(crate) executed: Vec<String>,
}

impl Steps {
    /// Reads them from a build's log.
    pub(crate) fn of(build: &Build) -> Self {
        let mut steps = Self::default();
        for line in build.stderr().lines() {
            let Some((_, text)) = line
                .strip_prefix('[')
                .and_then(|line| line.split_once("] "))
            else {
                continue;
            };
            let (list, text) = match text.strip_prefix("CACHED ") {
                Some(text) => (&mut steps.cached, text),
                None => (&mut steps.executed, text),
            };
            let works_on_files = ["RUN ", "COPY ", "ADD ", "WORKDIR "];
            if works_on_files.iter().any(|word| text.starts_with(word)) {
                list.push(text.to_owned());
            }
        }
        steps
    }
}

impl<'a> Job<'a> {
    /// `flags` say where the job caches.
    pub(crate) fn new(site: &'a Site, repository: &str, flags: &[&str]) -> Self {
        Self {
            site,
            repository: repository.to_owned(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        }
    }

    fn executor(&self, input: &Input, tag: &str) -> Executor {
        let name = format!("{}:{tag}", self.repository);
        Executor::new(Who::Root)
            .context(&input.context())
            .destination(&self.site.registry.reference(&name))
            .args(&input.args)
    }

    /// Pulls what was pushed under a tag.
    pub(crate) fn image(&self, tag: &str) -> Image {
        let name = format!("{}:{tag}", self.repository);
        check_image(&self.site.registry, &name, &self.site.base)
    }

    /// Builds with the cache, at times that do not change, and looks at the image.
    pub(crate) fn build(&self, input: &Input) -> (Build, Image) {
        let build = self.run(input);
        (build, self.image("cached"))
    }

    /// Builds with the cache.
    pub(crate) fn run(&self, input: &Input) -> Build {
        let executor = self.executor(input, "cached").args(&self.flags);
        let build = executor.env("SOURCE_DATE_EPOCH", EPOCH).run();
        build.assert_success();
        build
    }

    /// Builds the same without any cache.
    pub(crate) fn build_uncached(&self, input: &Input) -> Image {
        let executor = self.executor(input, "uncached");
        let build = executor.env("SOURCE_DATE_EPOCH", EPOCH).run();
        build.assert_success();
        self.image("uncached")
    }
}
