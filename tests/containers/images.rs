//! The images under test, as `deploy/build` makes them: once per run, of programs that link nothing dynamically.

use crate::support::cache;
use crate::support::tool::Tool;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The images and the program in them.
pub(crate) struct Images {
    /// `docker load` takes these; see `Variant`.
    archives: PathBuf,
    /// The program as it is in the images.
    pub(crate) executor: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    /// The programs and nothing else.
    Executor,
    /// With a shell.
    Debug,
}

impl Variant {
    pub(crate) const ALL: [Self; 2] = [Self::Executor, Self::Debug];

    /// The name that the archive gives the image.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Executor => "sawagani/executor:latest",
            Self::Debug => "sawagani/executor:debug",
        }
    }

    fn archive(self) -> &'static str {
        match self {
            Self::Executor => "executor.tar",
            Self::Debug => "debug.tar",
        }
    }
}

/// Builds the images, or finds that nothing has changed since they were built.
///
/// Minutes in a fresh clone: everything is compiled for another target than the tests themselves.
pub(crate) fn images() -> &'static Images {
    static IMAGES: OnceLock<Images> = OnceLock::new();
    IMAGES.get_or_init(|| {
        let _lock = cache::machine_lock("images");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target_dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("cargo keeps it in the target directory");
        let archives = target_dir.join("images/archives");
        Tool::new("bash")
            .in_dir(root)
            .args(["deploy/build", "archives"])
            .arg(&archives)
            .env("PROFILE", "dev")
            .env("CARGO_TARGET_DIR", target_dir)
            .run();
        Images {
            archives,
            executor: target_dir.join("images/dev/executor/kaniko/executor"),
        }
    })
}

impl Images {
    pub(crate) fn archive(&self, variant: Variant) -> PathBuf {
        self.archives.join(variant.archive())
    }
}
