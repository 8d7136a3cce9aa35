//! Where the images of the containers go, and the same images built in namespaces on the machine itself.

use super::call::Call;
use super::images::images;
use super::job::Job;
use crate::support::{Base, BaseImage, Context, Executor, Registry, Tree, Who, check_image};
use std::collections::BTreeMap;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, Weak};

/// When all images are built: times of new files are no later.
pub(crate) const EPOCH: &str = "1600000000";

/// Paths that two builds of one Dockerfile have differently even in namespaces, and why.
const VOLATILE: [(&str, &str); 9] = [
    (
        "var/log/apt/history.log",
        "has the time of each call of apt",
    ),
    ("var/log/apt/term.log", "has the time of each call of apt"),
    ("var/log/dpkg.log", "has a time on each line"),
    ("var/log/alternatives.log", "has a time on each line"),
    (
        "var/cache/apt/pkgcache.bin",
        "apt's index, which has addresses of memory in it",
    ),
    (
        "var/cache/apt/srcpkgcache.bin",
        "apt's index, which has addresses of memory in it",
    ),
    (
        "var/cache/ldconfig/aux-cache",
        "has the change times and numbers of the libraries' files",
    ),
    (
        "etc/ssl/certs/java/cacerts",
        "a key store: each entry has the time it was made",
    ),
    (
        "run/sudo/ts/app",
        "sudo's record of the session and its time",
    ),
];

/// A registry with a Debian in it.
pub(crate) struct Site {
    pub(crate) registry: Registry,
    pub(crate) base: BaseImage,
    /// The registry ends with the thread that has started it: one of its own, which ends when this is dropped.
    _keeper: Sender<()>,
}

impl Site {
    /// The site that all tests share which run at this moment.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Site>> = Mutex::new(Weak::new());
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(site) = shared.upgrade() {
            return site;
        }
        let site = Arc::new(Self::alone());
        *shared = Arc::downgrade(&site);
        site
    }

    /// A site of one test's own.
    pub(crate) fn alone() -> Self {
        let (keeper, ended) = mpsc::channel();
        let (registry, started) = mpsc::channel();
        std::thread::spawn(move || {
            let started = registry.send(Registry::start());
            // Until nobody is left to send anything.
            started.is_ok() && ended.recv().is_ok()
        });
        let registry = started.recv().expect("the registry starts");
        let base = Base::Debian.push_to(&registry);
        Self {
            registry,
            base,
            _keeper: keeper,
        }
    }

    pub(crate) fn context(&self, job: Job) -> Context {
        job.context(&self.base.reference)
    }

    /// The call that builds `context` and pushes it as `name`.
    pub(crate) fn call(&self, context: &Context, name: &str) -> Call {
        Call::executor(["--destination", &self.registry.reference(name)])
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .read_only_volume(context.path(), "/workspace")
    }

    /// Fails the test unless the image called `name` is sound and has the same files as the machine's own build.
    pub(crate) fn assert_as_reference(&self, job: Job, name: &str) {
        let built = check_image(&self.registry, name, &self.base).tree();
        let differences = self.reference(job).differences(&built);
        let is_volatile = |difference: &&String| {
            VOLATILE
                .iter()
                .any(|(path, _)| difference.starts_with(&format!("{path}: ")))
        };
        let differences: Vec<&String> = differences
            .iter()
            .filter(|found| !is_volatile(found))
            .collect();
        assert!(
            differences.is_empty(),
            "the machine's build, then the container's:\n{differences:#?}"
        );
    }

    /// The files of the machine's own build, made once: no test's registry is in them.
    fn reference(&self, job: Job) -> Arc<Tree> {
        static REFERENCES: Mutex<BTreeMap<Job, Arc<Tree>>> = Mutex::new(BTreeMap::new());
        let mut references = REFERENCES
            .lock()
            .expect("no build of a reference has failed");
        let reference = references
            .entry(job)
            .or_insert_with(|| Arc::new(self.build_on_machine(job)));
        Arc::clone(reference)
    }

    fn build_on_machine(&self, job: Job) -> Tree {
        let name = format!("reference/{}:1", job.name());
        let executor = Executor::new(Who::Root).program(&images().executor);
        let executor = executor
            .context(&self.context(job))
            .arg("--isolation=ns")
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .destination(&self.registry.reference(&name));
        executor.run().assert_success();
        check_image(&self.registry, &name, &self.base).tree()
    }
}
