//! `RUN --mount=type=cache`: taking the directories into use.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use crate::context::select::clean;
use crate::dockerfile::{Sharing, Span};
use crate::fs::{KnownContents, Root, copy_tree};
use crate::sandbox::{FileTree, Shown};

use super::super::action::RunAction;
use super::super::mount_action::{CacheMount, CacheStart, MountAction};
use super::super::stage::StageBuilder;
use super::RunMounts;

impl<'a> StageBuilder<'a> {
    /// Takes all caches of a RUN, in the order of their names; one that it mounts twice, once.
    pub(super) fn take_caches<'b>(
        &'b self,
        found: &mut RunMounts<'b>,
        run: &RunAction,
        span: Span,
    ) -> Result<()> {
        let mut wanted: BTreeMap<String, (&CacheMount, Sharing)> = BTreeMap::new();
        for mount in &run.mounts {
            if let MountAction::Cache(cache) = mount {
                let entry = wanted.entry(cache.name()).or_insert((cache, cache.sharing));
                entry.1 = stricter(entry.1, cache.sharing);
            }
        }
        let can_share = self.workshop.sandbox().mode().has_namespaces();
        for (name, (cache, sharing)) in wanted {
            // Without mounts, a directory is in one place only.
            let sharing = match sharing {
                Sharing::Shared if !can_share => Sharing::Locked,
                other => other,
            };
            let check_going = || self.workshop.check_going();
            let fill = |root: &Root| self.fill(cache, root, span);
            let dirs = &self.workshop.caches;
            let taken = dirs.take(&name, sharing, check_going, fill)?;
            found.caches.insert(name, taken);
        }
        Ok(())
    }

    /// Makes an empty directory what the cache starts as.
    fn fill(&self, cache: &CacheMount, root: &Root, span: Span) -> Result<()> {
        let was_kept = match &self.workshop.carrier {
            Some(carrier) => carrier.fill(&cache.name(), root)?,
            None => false,
        };
        if let Some(start) = cache.start.as_ref().filter(|_| !was_kept) {
            self.copy_start(start, root, span)?;
        }
        let access = cache.access;
        root.dir().set_own_owner(access.uid, access.gid)?;
        Ok(root.dir().set_own_mode(access.mode)?)
    }

    fn copy_start(&self, start: &CacheStart, root: &Root, span: Span) -> Result<()> {
        let (tree, _view) = self.files_of(&start.from, &start.source, span)?;
        let Some(from) = tree.open_dir()? else {
            let message = format!("cannot start a cache with `{}`", start.source);
            let error = self.error(span, message);
            return Err(error.because(NoDirectory).into());
        };
        Ok(copy_tree(&from, root, &mut KnownContents::default())?)
    }
}

/// What a cache starts with, or the part of it that is wanted, is a file.
#[derive(Debug, thiserror::Error)]
#[error("it is not a directory")]
struct NoDirectory;

impl StageBuilder<'_> {
    /// Shows a cache that is taken, or the part of it that is wanted. Links in it lead nowhere outside.
    pub(super) fn show_cache(
        &self,
        found: &mut RunMounts<'_>,
        cache: &CacheMount,
        span: Span,
    ) -> Result<()> {
        let Some(taken) = found.caches.get(&cache.name()) else {
            unreachable!("all caches of a RUN are taken before any is shown");
        };
        let part = clean(Path::new(&cache.part));
        let Some(tree) = FileTree::find(taken.root().clone(), &part)? else {
            let message = format!("cannot mount `/{}`: not found in the cache", part.display());
            return Err(self.error(span, message).into());
        };
        if tree.open_dir()?.is_none() {
            let message = format!("cannot mount `/{}` of a cache", part.display());
            return Err(self.error(span, message).because(NoDirectory).into());
        }
        found.show(&cache.target, Shown::Kept(tree), cache.read_only);
        Ok(())
    }
}

fn stricter(one: Sharing, other: Sharing) -> Sharing {
    match (one, other) {
        (Sharing::Locked, _) | (_, Sharing::Locked) => Sharing::Locked,
        (Sharing::Private, _) | (_, Sharing::Private) => Sharing::Private,
        (Sharing::Shared, Sharing::Shared) => Sharing::Shared,
    }
}
