//! A row of the tables: one change between two builds.

/// One change between two builds, and what the second takes from the cache.
///
/// `dockerfile` is that of the second build, in a margin of five characters: `hit  ` before a step that the cache answers,
/// `miss ` before one that is executed, blank before everything else, and before the steps of stages of which nothing is
/// needed. `FROM base` stands for the base of the test.
#[derive(Clone, Copy)]
pub(super) struct Change {
    /// What is changed.
    pub(super) what: &'static str,
    pub(super) dockerfile: &'static str,
    /// The first build's Dockerfile, in the same margin; empty where it is the second's.
    pub(super) before: &'static str,
    /// What is done to the context between the builds.
    pub(super) edits: &'static [Edit],
    /// What the registry has as the base, in the first build and in the second.
    pub(super) bases: BaseImages,
    /// Of the first build. `CONTEXT` stands for the context's path here and below.
    pub(super) flags_before: &'static [&'static str],
    /// Of the second build.
    pub(super) flags: &'static [&'static str],
    /// Of the second build, and not of the one without a cache that it is held against.
    pub(super) cache_flags: &'static [&'static str],
}

/// A row that changes nothing: what others are written over.
pub(super) const NO_CHANGE: Change = Change {
    what: "",
    dockerfile: "",
    before: "",
    edits: &[],
    bases: BaseImages::One,
    flags_before: &[],
    flags: &[],
    cache_flags: &[],
};

/// Something done to a context; paths are relative to it.
#[derive(Clone, Copy)]
pub(super) enum Edit {
    /// Writes a file, which may be new.
    Write(&'static str, &'static str),
    Mode(&'static str, u32),
    /// Seconds.
    Mtime(&'static str, i64),
    /// User and group.
    Owner(&'static str, u32),
    Remove(&'static str),
    Rename(&'static str, &'static str),
    Dir(&'static str),
    /// Path, then target.
    Symlink(&'static str, &'static str),
    /// Path, then the file that is there.
    HardLink(&'static str, &'static str),
    /// Gives a file the right to open raw sockets.
    Capability(&'static str),
}

/// What the registry has under the base's name in the first build, and what in the second.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum BaseImages {
    /// The same image.
    One,
    /// The same files in a layer that is compressed otherwise, under another digest.
    Recompressed,
    /// The same files, and another label.
    Relabelled,
    /// Another variable.
    OtherEnvironment,
    /// One file is another.
    OtherFiles,
    /// The same files in two layers.
    Split,
}
