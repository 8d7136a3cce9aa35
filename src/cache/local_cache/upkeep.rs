//! Listing, measuring, pruning and verifying a cache directory, while builds use it.
//!
//! What kaniko's warmer has put there is its own business: it is neither counted nor removed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;

use super::names::{NameKind, NameTimes};
use super::{LocalCache, LocalCacheError, stamp};
use crate::fs::{PathContext, PathError};
use crate::image::{Descriptor, Digest, MediaType};

mod survey;
mod trees;

use survey::{Named, Survey};

/// One name in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What it leads to.
    pub kind: ListedKind,
    /// The key of a layer's step, else the digits of the digest.
    pub name: String,
    /// Bytes of the blobs that it leads to, others' among them, or of the files of an unpacked layer. 0 where these are not known.
    pub size: u64,
    /// When it was stored.
    pub stored: Timestamp,
    /// When it was last of use.
    pub used: Timestamp,
}

/// What a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListedKind {
    /// The layer of a step.
    Layer,
    /// An image, or an index of images.
    Image,
    /// What a step depended on.
    Step,
    /// The contents of a cache mount.
    Mount,
    /// An unpacked layer of an image.
    Tree,
}

/// How much room the cache takes, in bytes of blobs and of unpacked files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskUse {
    /// Blobs that layers of steps need, those of images not counted again.
    pub layers: u64,
    /// Blobs that images need.
    pub images: u64,
    /// Blobs that archives of cache mounts need.
    pub mounts: u64,
    /// Unpacked layers of images.
    pub trees: u64,
    /// Blobs that nothing leads to: `prune` removes them, unless somebody is about to use them.
    pub unused: u64,
}

/// What is to go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PruneRules {
    /// What was last of use before. `None` for no such limit.
    pub unused_since: Option<Timestamp>,
    /// What was of use longest ago, until so many bytes of blobs and of unpacked files remain. `None` for no such limit.
    pub keep_size: Option<u64>,
}

/// What went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Names that were removed.
    pub removed: Vec<Listed>,
    /// Bytes of the blobs, unpacked layers and unfinished files that were removed.
    pub freed: u64,
    /// Blobs that nothing leads to any more and unpacked layers that were to go, and that somebody needs at the moment.
    pub in_use: usize,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl LocalCache {
    /// Lists all names, each kind sorted by name.
    pub fn list(&self) -> Result<Vec<Listed>, PathError> {
        let _lock = self.lock_shared()?;
        let survey = Survey::take(self)?;
        Ok(survey.names.iter().map(Named::listed).collect())
    }

    /// Measures the cache.
    pub fn disk_use(&self) -> Result<DiskUse, PathError> {
        let _lock = self.lock_shared()?;
        let survey = Survey::take(self)?;
        let images = survey.needed_by(|name| name.kind == NameKind::Image);
        let layers = survey.needed_by(|name| name.kind == NameKind::Layer);
        let mounts = survey.needed_by(|name| name.kind == NameKind::Mount);
        let trees = survey.names.iter();
        let trees = trees.filter(|name| name.kind == NameKind::Tree);
        let mut used = DiskUse {
            trees: trees.map(|tree| tree.size).sum(),
            ..DiskUse::default()
        };
        for (digest, size) in &survey.blobs {
            if images.contains(digest) {
                used.images += size;
            } else if layers.contains(digest) {
                used.layers += size;
            } else if mounts.contains(digest) {
                used.mounts += size;
            } else {
                used.unused += size;
            }
        }
        Ok(used)
    }

    /// Removes what the rules say, what leads nowhere, and what nothing leads to. Builds that are running keep what they
    /// have found, and wait while this works: it reads small files only.
    pub fn prune(&self, rules: &PruneRules) -> Result<Pruned, LocalCacheError> {
        self.check_writable()?;
        let lock = self.lock_exclusive()?;
        let mut pruned = Pruned {
            freed: super::temp::remove_stale(&self.temp_dir()),
            ..Pruned::default()
        };
        let mut survey = Survey::take(self)?;
        let mut trees = Vec::new();
        for name in survey.take_doomed(rules) {
            if name.kind == NameKind::Tree {
                match self.take_tree(&name.path)? {
                    Some(taken) => trees.push(taken),
                    None => {
                        pruned.in_use += 1;
                        continue;
                    }
                }
                pruned.freed += name.size;
            } else {
                std::fs::remove_file(&name.path).on("remove", &name.path)?;
            }
            pruned.removed.push(name.listed());
        }
        let needed = survey.needed_by(|_| true);
        for (digest, size) in &survey.blobs {
            if needed.contains(digest) {
                continue;
            }
            match self.remove_unused(digest)? {
                true => pruned.freed += size,
                false => pruned.in_use += 1,
            }
        }
        self.remove_lone_stamps()?;
        // Builds need not wait for what takes time.
        drop(lock);
        for (dir, _lock) in trees {
            super::new_tree::remove(&dir)?;
        }
        self.remove_stale_trees();
        Ok(pruned)
    }

    /// Removes a blob that nobody holds; the directory must be locked for this process alone.
    fn remove_unused(&self, digest: &Digest) -> Result<bool, PathError> {
        let path = self.blob_path(digest);
        let file = super::open_to_lock(&path).on("open", &path)?;
        if file.try_lock().is_err() {
            return Ok(false);
        }
        std::fs::remove_file(&path).on("remove", &path)?;
        Ok(true)
    }

    fn remove_lone_stamps(&self) -> Result<(), PathError> {
        let blobs: BTreeSet<String> = survey::blobs(self)?
            .into_keys()
            .map(|digest| digest.hex().to_owned())
            .collect();
        for (name, path) in survey::files(&self.dir.join(stamp::DIR))? {
            if !blobs.contains(&name) {
                std::fs::remove_file(&path).on("remove", &path)?;
            }
        }
        Ok(())
    }

    /// Reads everything and returns what is not as it should be. With `repairs`, damaged blobs and names that lead nowhere
    /// are removed, so that they are made anew when they are needed.
    pub fn verify(&self, repairs: bool) -> Result<Vec<Problem>, LocalCacheError> {
        if repairs {
            self.check_writable()?;
        }
        let blobs = {
            let _lock = self.lock_shared()?;
            survey::blobs(self)?
        };
        let mut problems = Vec::new();
        for (digest, size) in &blobs {
            if let Some(problem) = self.verify_blob(digest, *size, repairs)? {
                problems.push(problem);
            }
        }
        problems.extend(trees::verify(self, repairs)?);
        let _lock = match repairs {
            true => self.lock_exclusive()?,
            false => self.lock_shared()?,
        };
        let names = Survey::take(self)?.names.into_iter();
        for name in names.filter(|name| name.kind != NameKind::Tree) {
            let Some(what) = name.problem else {
                continue;
            };
            if repairs {
                std::fs::remove_file(&name.path).on("remove", &name.path)?;
            }
            problems.push(Problem {
                path: name.path,
                what,
            });
        }
        Ok(problems)
    }

    fn verify_blob(
        &self,
        digest: &Digest,
        size: u64,
        repairs: bool,
    ) -> Result<Option<Problem>, LocalCacheError> {
        let descriptor = Descriptor::new(MediaType::Other(String::new()), digest.clone(), size);
        let opened = {
            let _lock = self.lock_shared()?;
            self.open_blob(&descriptor)
        };
        use super::BlobProblem::{Damaged, File, Missing};
        match opened.and_then(|held| held.check()) {
            // What is gone was pruned since it was listed.
            Ok(()) | Err(Missing(_)) => Ok(None),
            Err(File(error)) => Err(error.into()),
            Err(problem @ Damaged(_)) => {
                if repairs {
                    self.discard_if_damaged(&problem)?;
                }
                Ok(Some(Problem {
                    path: self.blob_path(digest),
                    what: problem.to_string(),
                }))
            }
        }
    }
}

impl Survey {
    /// Takes out the names that are to go.
    fn take_doomed(&mut self, rules: &PruneRules) -> Vec<Named> {
        let is_doomed = |name: &mut Named| {
            let is_old = rules
                .unused_since
                .is_some_and(|since| name.times.used < since);
            is_old || name.problem.is_some()
        };
        let mut doomed: Vec<Named> = self.names.extract_if(.., is_doomed).collect();
        if let Some(keep_size) = rules.keep_size {
            doomed.extend(self.take_oldest_until(keep_size));
        }
        doomed
    }

    /// Takes out names, those that were of use longest ago first, until what the others need is at most `keep_size` bytes.
    fn take_oldest_until(&mut self, keep_size: u64) -> Vec<Named> {
        let mut users: BTreeMap<&Digest, usize> = BTreeMap::new();
        for digest in self.names.iter().flat_map(|name| &name.needs) {
            *users.entry(digest).or_default() += 1;
        }
        let size_of = |digest: &Digest| self.blobs.get(digest).copied().unwrap_or(0);
        let trees = self.names.iter().filter(|name| name.is_tree());
        let trees: u64 = trees.map(|tree| tree.size).sum();
        let blobs: u64 = users.keys().map(|digest| size_of(digest)).sum();
        let mut size = trees + blobs;
        let mut by_use: Vec<usize> = (0..self.names.len()).collect();
        by_use.sort_by_key(|at| self.names[*at].times.used);
        let mut doomed = BTreeSet::new();
        for at in by_use {
            if size <= keep_size {
                break;
            }
            let name = &self.names[at];
            if name.is_tree() {
                doomed.insert(at);
                size -= name.size;
                continue;
            }
            let needs = &name.needs;
            // What takes no room makes none.
            if needs.is_empty() {
                continue;
            }
            doomed.insert(at);
            for digest in needs {
                if let Some(count) = users.get_mut(digest) {
                    *count -= 1;
                    size -= if *count == 0 { size_of(digest) } else { 0 };
                }
            }
        }
        let mut at = 0;
        let is_doomed = |_: &mut Named| {
            at += 1;
            doomed.contains(&(at - 1))
        };
        self.names.extract_if(.., is_doomed).collect()
    }
}

impl Named {
    fn is_tree(&self) -> bool {
        self.kind == NameKind::Tree
    }

    fn listed(&self) -> Listed {
        let NameTimes { stored, used } = self.times;
        Listed {
            kind: match self.kind {
                NameKind::Layer => ListedKind::Layer,
                NameKind::Image => ListedKind::Image,
                NameKind::Step => ListedKind::Step,
                NameKind::Mount => ListedKind::Mount,
                NameKind::Tree => ListedKind::Tree,
            },
            name: self.name.clone(),
            size: self.size,
            stored,
            used,
        }
    }
}
