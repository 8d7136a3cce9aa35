//! What the steps of a build depend on. The table in `key` says which of it counts for which step.
//!
//! Everything here is plain: expanded, resolved and made absolute by the caller. What may not count has no field.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::encoding::Encoder;
use super::fingerprint::Fingerprint;
use super::key::CacheKey;
use crate::image::layer_writer::Compression;
use crate::image::{DiffId, Digest, Platform};

mod one_layer;
mod source;

pub use one_layer::OneLayerInputs;
pub use source::{NetworkIdentity, SourceInputs};

/// What a stage starts with, or what files are copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseInputs {
    /// The machine that the stage is built for.
    pub platform: Platform,
    /// The layers, base first. Empty for `scratch`.
    pub layers: Vec<DiffId>,
    /// How the layers above it are written.
    pub form: LayerForm,
    /// Paths that are part of no layer above it, relative to the root directory.
    pub left_out: BTreeSet<PathBuf>,
}

/// How layers are written, as far as it shows in their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerForm {
    /// Compression of the blobs.
    pub compression: Compression,
    /// No file is newer than this second of the Unix epoch. `None` where times are left as they are.
    pub clamp_mtime: Option<i64>,
}

/// The files of a stage after a RUN, which is not bound to make the same of the same inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultInputs {
    /// Key of the files before it.
    pub before: CacheKey,
    /// The layer that it made.
    pub layer: DiffId,
}

/// The files of a stage under a layer that was made without a look at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkInputs {
    /// Key of the files before it.
    pub before: CacheKey,
    /// Key of the step that made the layer, on no files.
    pub linked: CacheKey,
}

/// What a step depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepInputs {
    /// RUN
    Run(RunInputs),
    /// COPY
    Copy(CopyInputs),
    /// ADD
    Add(AddInputs),
    /// WORKDIR
    Workdir(WorkdirInputs),
}

/// A RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInputs {
    /// Key of the step before, or of the base.
    pub parent: CacheKey,
    /// The words that are executed, the shell's included.
    pub argv: Vec<String>,
    /// Text of the here document that the words name. Empty if there is none.
    pub script: String,
    /// What ENV and declared ARGs give the command. Neither proxies nor secrets.
    pub environment: BTreeMap<String, String>,
    /// Absolute.
    pub working_dir: String,
    /// As the config names it. Empty for root.
    pub user: String,
    /// Further options that show in what the command can do, by name.
    pub options: BTreeMap<String, String>,
    /// In the order in which they are mounted.
    pub mounts: Vec<MountInputs>,
}

/// A mount of a RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountInputs {
    /// `bind`, `cache`, `tmpfs`, `secret` or `ssh`.
    pub kind: String,
    /// All that was asked for, defaults filled in, by name.
    pub options: BTreeMap<String, String>,
    /// The files that a bind mount shows; `None` for mounts whose contents do not count.
    pub files: Option<SourceInputs>,
}

/// A COPY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyInputs {
    /// Key of the step before, or of the base.
    pub parent: CacheKey,
    /// In their order: a later one replaces what an earlier one wrote.
    pub sources: Vec<SourceInputs>,
    /// Absolute, with a slash at its end if it is a directory.
    pub destination: String,
    /// `--chown`; `None` if it is not there.
    pub chown: Option<String>,
    /// `--chmod`; `None` if it is not there.
    pub chmod: Option<String>,
    /// Further options that show in the layer, by name.
    pub options: BTreeMap<String, String>,
}

/// An ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddInputs {
    /// What it has in common with COPY.
    pub copy: CopyInputs,
    /// Whether a file that is an archive is unpacked.
    pub unpacks: bool,
}

/// A WORKDIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkdirInputs {
    /// Key of the step before, or of the base.
    pub parent: CacheKey,
    /// Absolute.
    pub path: String,
    /// Who owns what is created, as the config names it. Empty for root.
    pub user: String,
}

impl BaseInputs {
    /// Returns what the key of the first step goes back to.
    pub fn fingerprint(&self) -> Fingerprint {
        let platform = self.platform.normalised();
        Fingerprint::new("FROM")
            .part("platform", |value| encode_platform(value, &platform))
            .part("layers of the base", |value| {
                value.list(self.layers.iter(), |value, id| {
                    value.text(id.as_digest().as_str())
                })
            })
            .part("compression", |value| {
                encode_compression(value, self.form.compression)
            })
            .part("latest file time", |value| match self.form.clamp_mtime {
                Some(seconds) => value.number(seconds),
                None => value.optional(None),
            })
            .part("paths left out", |value| {
                value.list(self.left_out.iter(), |value, path| {
                    value.bytes(path.as_os_str().as_bytes())
                })
            })
    }
}

impl ResultInputs {
    /// Returns what the key of the files is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("RESULT")
            .part("the files before", |value| value.text(self.before.as_str()))
            .part("layer", |value| value.text(self.layer.as_digest().as_str()))
    }
}

impl LinkInputs {
    /// Returns what the key of the files is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("LINK")
            .part("the files before", |value| value.text(self.before.as_str()))
            .part("linked step", |value| value.text(self.linked.as_str()))
    }
}

impl StepInputs {
    /// Returns what the key is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        match self {
            Self::Run(run) => run.fingerprint(),
            Self::Copy(copy) => copy.fingerprint(),
            Self::Add(add) => add.fingerprint(),
            Self::Workdir(workdir) => workdir.fingerprint(),
        }
    }

    /// Returns the same step on other files.
    pub fn on(mut self, parent: CacheKey) -> Self {
        *self.parent_mut() = parent;
        self
    }

    /// Returns the key of the step before.
    pub fn parent(&self) -> &CacheKey {
        match self {
            Self::Run(run) => &run.parent,
            Self::Copy(copy) => &copy.parent,
            Self::Add(add) => &add.copy.parent,
            Self::Workdir(workdir) => &workdir.parent,
        }
    }

    /// Says whether all files that were known by what they are when this was worked out are the same in `now`, the same
    /// step looked at later.
    pub fn finds_its_contents_in(&self, now: &Self) -> bool {
        let (then, now) = (self.files(), now.files());
        let is_same = |(then, now): (&Option<&SourceInputs>, &Option<&SourceInputs>)| match then {
            Some(SourceInputs::Content { .. }) => then == now,
            Some(
                SourceInputs::Definition { .. }
                | SourceInputs::Inline { .. }
                | SourceInputs::Network { .. },
            )
            | None => true,
        };
        // A source with wildcards is one source by definition, and may be several files.
        let is_elsewhere =
            |files: &Option<&SourceInputs>| matches!(files, Some(SourceInputs::Definition { .. }));
        let is_as_many = then.len() == now.len() || then.iter().all(is_elsewhere);
        is_as_many && then.iter().zip(&now).all(is_same)
    }

    /// Returns the files that it takes, in their order; `None` for a mount whose contents do not count.
    fn files(&self) -> Vec<Option<&SourceInputs>> {
        match self {
            Self::Run(run) => run
                .mounts
                .iter()
                .map(|mount| mount.files.as_ref())
                .collect(),
            Self::Copy(copy) => copy.sources.iter().map(Some).collect(),
            Self::Add(add) => add.copy.sources.iter().map(Some).collect(),
            Self::Workdir(_) => Vec::new(),
        }
    }

    fn parent_mut(&mut self) -> &mut CacheKey {
        match self {
            Self::Run(run) => &mut run.parent,
            Self::Copy(copy) => &mut copy.parent,
            Self::Add(add) => &mut add.copy.parent,
            Self::Workdir(workdir) => &mut workdir.parent,
        }
    }
}

impl RunInputs {
    /// Returns what the key is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut whole = Fingerprint::new("RUN")
            .part("the step before", |value| value.text(self.parent.as_str()))
            .part("command", |value| {
                value.list(self.argv.iter(), |value, word| value.text(word))
            })
            .part("here document", |value| value.text(&self.script))
            .part("working directory", |value| value.text(&self.working_dir))
            .part("user", |value| value.text(&self.user))
            .part("options", |value| encode_map(value, &self.options));
        for (name, text) in &self.environment {
            whole = whole.part(format!("variable {name}"), |value| value.text(text));
        }
        for (index, mount) in self.mounts.iter().enumerate() {
            let name = format!("mount {} ({})", index + 1, mount.kind);
            whole = whole.part(name, |value| mount.encode(value));
        }
        whole
    }
}

impl MountInputs {
    fn encode(&self, value: Encoder) -> Encoder {
        let value = encode_map(value.text(&self.kind), &self.options);
        match &self.files {
            Some(files) => files.encode(value.flag(true)),
            None => value.flag(false),
        }
    }
}

impl CopyInputs {
    /// Returns what the key is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        self.begin("COPY")
    }

    fn begin(&self, kind: &str) -> Fingerprint {
        let mut whole = Fingerprint::new(kind)
            .part("the step before", |value| value.text(self.parent.as_str()))
            .part("destination", |value| value.text(&self.destination))
            .part("--chown", |value| value.optional(self.chown.as_deref()))
            .part("--chmod", |value| value.optional(self.chmod.as_deref()))
            .part("options", |value| encode_map(value, &self.options));
        for (index, source) in self.sources.iter().enumerate() {
            let name = format!("source {} ({})", index + 1, source.shown());
            whole = whole.part(name, |value| source.encode(value));
        }
        whole
    }
}

impl AddInputs {
    /// Returns what the key is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        let whole = self.copy.begin("ADD");
        whole.part("unpacking", |value| value.flag(self.unpacks))
    }
}

impl WorkdirInputs {
    /// Returns what the key is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("WORKDIR")
            .part("the step before", |value| value.text(self.parent.as_str()))
            .part("path", |value| value.text(&self.path))
            .part("user", |value| value.text(&self.user))
    }
}

fn encode_map(value: Encoder, map: &BTreeMap<String, String>) -> Encoder {
    value.list(map.iter(), |value, (name, text)| {
        value.text(name).text(text)
    })
}

fn encode_platform(value: Encoder, platform: &Platform) -> Encoder {
    value
        .text(&platform.os)
        .text(&platform.architecture)
        .optional(platform.variant.as_deref())
        .optional(platform.os_version.as_deref())
        .list(platform.os_features.iter(), |value, feature| {
            value.text(feature)
        })
}

fn encode_compression(value: Encoder, compression: Compression) -> Encoder {
    match compression {
        Compression::None => value.text("none"),
        Compression::Gzip { level } => value.text("gzip").number(level.into()),
        Compression::Zstd { level } => value.text("zstd").number(level.into()),
    }
}

fn encode_name(value: Encoder, name: &OsString) -> Encoder {
    value.bytes(name.as_bytes())
}

fn encode_digest(value: Encoder, digest: &Digest) -> Encoder {
    value.text(digest.as_str())
}

#[cfg(test)]
mod tests;
