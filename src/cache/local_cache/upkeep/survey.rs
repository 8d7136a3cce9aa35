//! What is in a cache directory, and what leads to what. The directory must be locked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::cache::local_cache::names::{self, NameKind, NameTimes};
use crate::cache::local_cache::{BlobProblem, LastTime, LocalCache};
use crate::fs::{PathContext, PathError};
use crate::image::manifest::ManifestDocument;
use crate::image::{Descriptor, Digest, Manifest};

/// Everything.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) names: Vec<Named>,
    /// All blobs with their sizes in bytes.
    pub(super) blobs: BTreeMap<Digest, u64>,
}

/// A name.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) kind: NameKind,
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) times: NameTimes,
    /// The blobs that it leads to, each once.
    pub(super) needs: BTreeSet<Digest>,
    /// Bytes of these, or of the files of a tree.
    pub(super) size: u64,
    /// Why it is of no use; `None` if it is.
    pub(super) problem: Option<String>,
}

impl Survey {
    pub(super) fn take(cache: &LocalCache) -> Result<Self, PathError> {
        let mut found = Vec::new();
        for kind in NameKind::FILES {
            for (name, path) in files(&cache.dir().join(kind.dir()))? {
                found.extend(Found::read(cache, kind, name, path)?);
            }
        }
        // After the names: others may add to the directory meanwhile, blobs first.
        let blobs = blobs(cache)?;
        let names = found.into_iter().map(|found| found.judged(&blobs));
        let mut names: Vec<Named> = names.collect();
        names.extend(super::trees::survey(cache)?);
        Ok(Self { names, blobs })
    }

    /// Returns the blobs that the chosen names lead to.
    pub(super) fn needed_by(&self, chosen: impl Fn(&Named) -> bool) -> BTreeSet<Digest> {
        let names = self.names.iter().filter(|name| chosen(name));
        names.flat_map(|name| name.needs.iter().cloned()).collect()
    }
}

/// A name, and what it says.
struct Found {
    kind: NameKind,
    name: String,
    path: PathBuf,
    times: NameTimes,
    /// The blobs that it leads to, or why it leads nowhere.
    needs: Result<Vec<Descriptor>, String>,
}

impl Found {
    /// `None` if it is gone.
    fn read(
        cache: &LocalCache,
        kind: NameKind,
        name: String,
        path: PathBuf,
    ) -> Result<Option<Self>, PathError> {
        let Some(times) = names::times(&path)? else {
            return Ok(None);
        };
        let needs = match kind {
            NameKind::Layer | NameKind::Image | NameKind::Mount => needs(cache, &path)?,
            NameKind::Step => match names::read::<LastTime>(&path)? {
                Some(_) => Ok(Vec::new()),
                None => Err("it cannot be read".to_owned()),
            },
            NameKind::Tree => unreachable!("a tree's name is no file"),
        };
        Ok(Some(Self {
            kind,
            name,
            path,
            times,
            needs,
        }))
    }

    /// Finds out whether all is there.
    fn judged(self, blobs: &BTreeMap<Digest, u64>) -> Named {
        let (needs, mut problem) = match self.needs {
            Ok(needs) => (needs, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        for needed in &needs {
            match blobs.get(&needed.digest) {
                Some(size) if *size == needed.size => {}
                Some(_) => problem = Some(format!("blob `{}` is damaged", needed.digest)),
                None => problem = Some(format!("blob `{}` is missing", needed.digest)),
            }
        }
        let needs: BTreeSet<Digest> = needs.into_iter().map(|needed| needed.digest).collect();
        Named {
            kind: self.kind,
            name: self.name,
            path: self.path,
            times: self.times,
            size: needs.iter().filter_map(|digest| blobs.get(digest)).sum(),
            needs,
            problem,
        }
    }
}

/// Returns what a name leads to: its document, and of an image all that belongs to it; or what is wrong.
fn needs(cache: &LocalCache, path: &Path) -> Result<Result<Vec<Descriptor>, String>, PathError> {
    let Some((descriptor, _)) = names::read::<Descriptor>(path)? else {
        return Ok(Err("it cannot be read".to_owned()));
    };
    let read = cache.open_blob(&descriptor).and_then(|held| held.read());
    let bytes = match read {
        Ok(bytes) => bytes,
        Err(BlobProblem::File(error)) => return Err(error),
        Err(problem @ (BlobProblem::Missing(_) | BlobProblem::Damaged(_))) => {
            return Ok(Err(problem.to_string()));
        }
    };
    let mut needs = vec![descriptor.clone()];
    match ManifestDocument::parse(&bytes, Some(&descriptor.media_type)) {
        Ok(ManifestDocument::Image(manifest)) => {
            let Manifest { config, layers, .. } = *manifest;
            needs.push(config);
            let is_here = |layer: &Descriptor| !layer.media_type.is_foreign_layer();
            needs.extend(layers.into_iter().filter(is_here));
        }
        // The images of an index have names of their own.
        Ok(ManifestDocument::Index(_)) => {}
        Err(error) => return Ok(Err(error.to_string())),
    }
    Ok(Ok(needs))
}

/// Lists the blobs.
pub(super) fn blobs(cache: &LocalCache) -> Result<BTreeMap<Digest, u64>, PathError> {
    let mut blobs = BTreeMap::new();
    for (algorithm, dir) in entries(&cache.dir().join("blobs"))? {
        for (hex, path) in files(&dir)? {
            // What has no digest for its name is not ours.
            if let Ok(digest) = Digest::parse(&format!("{algorithm}:{hex}"))
                && let Ok(found) = std::fs::metadata(&path)
            {
                blobs.insert(digest, found.len());
            }
        }
    }
    Ok(blobs)
}

/// Lists the regular files in a directory, sorted by name.
pub(super) fn files(dir: &Path) -> Result<Vec<(String, PathBuf)>, PathError> {
    let mut files = entries(dir)?;
    files.retain(|(_, path)| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_file()));
    Ok(files)
}

pub(super) fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, PathError> {
    let mut entries = Vec::new();
    let reader = match std::fs::read_dir(dir) {
        Ok(reader) => reader,
        // A directory that is only read need not have all.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(entries),
        Err(error) => return Err(error).on("read directory", dir),
    };
    for entry in reader {
        let entry = entry.on("read directory", dir)?;
        if let Ok(name) = entry.file_name().into_string() {
            entries.push((name, entry.path()));
        }
    }
    entries.sort_unstable();
    Ok(entries)
}
