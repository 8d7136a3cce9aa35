//! What is known of unpacked layers without use of them.

use std::collections::BTreeSet;
use std::fs::File;

use super::Problem;
use super::survey::{Named, entries};
use crate::cache::local_cache::names::{self, NameKind, NameTimes};
use crate::cache::local_cache::new_tree::{NEW_PREFIX, OLD_PREFIX, remove};
use crate::cache::local_cache::trees::{self, TreeProblem};
use crate::cache::local_cache::{LocalCache, LocalCacheError};
use crate::fs::PathError;

/// Lists the trees that nobody is at work on. One that cannot be used any more has a problem.
pub(super) fn survey(cache: &LocalCache) -> Result<Vec<Named>, PathError> {
    let mut named = Vec::new();
    for (name, path) in entries(&cache.trees_dir())? {
        if name.starts_with(NEW_PREFIX) || name.starts_with(OLD_PREFIX) {
            continue;
        }
        let Ok(file) = File::open(&path) else {
            // Another user's.
            continue;
        };
        if file.try_lock_shared().is_err() {
            continue;
        }
        let stamp = trees::read_stamp(&path)?;
        let times = names::times(&path.join(trees::STAMP))?.or(names::times(&path)?);
        let problem = match &stamp {
            None => Some(TreeProblem::Unfinished.to_string()),
            Some(stamp) if stamp.is_of_other_boot() => Some(TreeProblem::OtherBoot.to_string()),
            Some(_) => None,
        };
        named.extend(times.map(|times: NameTimes| Named {
            kind: NameKind::Tree,
            name,
            path,
            times,
            needs: BTreeSet::new(),
            size: stamp.map_or(0, |stamp| stamp.bytes),
            problem,
        }));
    }
    Ok(named)
}

/// Walks all trees and returns those that somebody has changed, and removes them with `repairs`.
pub(super) fn verify(cache: &LocalCache, repairs: bool) -> Result<Vec<Problem>, LocalCacheError> {
    let names = {
        let _lock = cache.lock_shared()?;
        survey(cache)?
    };
    let mut problems = Vec::new();
    for name in names.into_iter().filter(|name| name.problem.is_none()) {
        let what = match trees::check_files(&name.path) {
            // What was not completed is not damaged, and is never used.
            Ok(_) | Err(TreeProblem::Unfinished | TreeProblem::OtherBoot) => continue,
            // Gone since it was listed.
            Err(_) if !name.path.exists() => continue,
            Err(problem) => crate::cache::registry_cache::with_causes(&problem),
        };
        if repairs {
            let taken = {
                let _lock = cache.lock_exclusive()?;
                cache.take_tree(&name.path)?
            };
            if let Some((dir, _lock)) = taken {
                remove(&dir)?;
            }
        }
        problems.push(Problem {
            path: name.path,
            what,
        });
    }
    Ok(problems)
}
