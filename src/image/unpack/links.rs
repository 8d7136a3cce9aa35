//! Hard links whose target is in a layer below: remembered until that layer is at hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::DeferredLink;
use super::entry_path::to_path;

/// Links by their real path, with their place in the layer's order.
#[derive(Debug, Default)]
pub(super) struct DeferredLinks {
    links: BTreeMap<PathBuf, (u64, PathBuf)>,
    count: u64,
}

impl DeferredLinks {
    pub(super) fn defer(&mut self, path: &[u8], target: &[u8]) {
        let target = to_path(target).to_path_buf();
        let path = to_path(path).to_path_buf();
        self.links.insert(path, (self.count, target));
        self.count += 1;
    }

    /// Forgets the link at `path`, where something else goes now.
    pub(super) fn forget(&mut self, path: &[u8]) {
        if !self.links.is_empty() {
            self.links.remove(to_path(path));
        }
    }

    /// Forgets all links below a directory that was removed.
    pub(super) fn forget_tree(&mut self, path: &[u8]) {
        let top = to_path(path);
        let doomed: Vec<PathBuf> = self
            .links
            .range(top.to_path_buf()..)
            .take_while(|(path, _)| path.starts_with(top))
            .map(|(path, _)| path.clone())
            .collect();
        for path in doomed {
            self.links.remove(&path);
        }
    }

    /// Returns the links in the layer's order: one may lead to another that came before it.
    pub(super) fn into_list(self) -> Vec<DeferredLink> {
        let mut links: Vec<(u64, DeferredLink)> = self
            .links
            .into_iter()
            .map(|(path, (order, target))| (order, DeferredLink { path, target }))
            .collect();
        links.sort_unstable_by_key(|(order, _)| *order);
        links.into_iter().map(|(_, link)| link).collect()
    }
}
