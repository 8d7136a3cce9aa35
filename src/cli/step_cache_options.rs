//! Which steps a run takes from caches and keeps there, from words to meaning.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use tracing::warn;

use crate::build::{CacheRules, CarriedMounts, StepCache};
use crate::cache::cache_mounts::CacheMounts;
use crate::cache::{CacheRepository, LayerCache, LocalCache};
use crate::output::DeliveryOptions;
use crate::registry::Registries;

use super::flags::{CacheFlags, CacheMountsPlace};

/// What follows the name of an image's repository in that of its cache (kaniko's README, "Caching Layers").
const REPOSITORY_SUFFIX: &str = "/cache";

/// The caches of the steps of one run.
#[derive(Debug, Clone)]
pub(super) struct StepCacheOptions {
    subject: String,
    /// As in `--cache-repo`.
    repository: Option<String>,
    rules: CacheRules,
    mounts: CacheMountsPlace,
    mounts_limit: u64,
    oldest: Timestamp,
}

impl StepCacheOptions {
    /// Checks the flags. `None` where no step is cached.
    pub(super) fn new(
        flags: &CacheFlags,
        delivery: &DeliveryOptions,
        context: &Path,
        oldest: Timestamp,
    ) -> Result<Option<Self>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let has_dir = flags.dir().is_some();
        let repository = match flags.cache {
            Some(false) => return Ok(None),
            None => {
                if given(&flags.cache_repo).is_some() {
                    warn!("--cache-repo has no effect without --cache");
                }
                if !has_dir {
                    return Ok(None);
                }
                None
            }
            Some(true) => given(&flags.cache_repo).or_else(|| default_repository(flags, delivery)),
        };
        if repository.is_none() && !has_dir {
            bail!(
                "if using cache with --no-push, specify cache repo with --cache-repo, or a directory with --cache-dir"
            );
        }
        let repository_is_given = repository.is_some();
        let subject = delivery.destinations.first();
        Ok(Some(Self {
            subject: subject.map_or_else(|| context.display().to_string(), |first| first.name()),
            repository,
            rules: CacheRules {
                runs: flags.cache_run_layers,
                copies: flags.cache_copy_layers != Some(false),
                copies_in_repository: flags.cache_copy_layers == Some(true),
                pushes: !flags.no_push_cache,
                explains: flags.explain_cache,
            },
            mounts: mounts_place(flags, repository_is_given)?,
            mounts_limit: flags.cache_mounts_max_size,
            oldest,
        }))
    }

    /// Returns the directory that `--cache-repo` names, if it does.
    pub(super) fn directory(&self) -> Option<PathBuf> {
        let repository = self.repository.as_deref()?;
        CacheRepository::directory_of(repository)
    }

    /// Opens the repository. Nobody is asked anything yet.
    pub(super) fn open(
        &self,
        local: Option<Arc<LocalCache>>,
        registries: &Registries,
    ) -> Result<StepCache> {
        let open = |name: &String| {
            CacheRepository::open(name, registries, self.oldest)
                .with_context(|| format!("--cache-repo is `{name}`"))
        };
        let layers = LayerCache {
            local,
            repository: self.repository.as_ref().map(open).transpose()?,
        };
        let mounts = match self.mounts {
            CacheMountsPlace::Off => None,
            CacheMountsPlace::Dir => layers.local.clone().map(CacheMounts::Directory),
            CacheMountsPlace::Registry => layers.repository.as_ref().map(CacheMounts::beside),
        };
        let limit = self.mounts_limit;
        Ok(StepCache {
            subject: self.subject.clone(),
            mounts: mounts
                .filter(|mounts| mounts.is_writable())
                .map(|mounts| CarriedMounts { mounts, limit }),
            layers,
            rules: self.rules,
        })
    }
}

/// Returns where cache mounts are kept.
fn mounts_place(flags: &CacheFlags, repository_is_given: bool) -> Result<CacheMountsPlace> {
    match flags.cache_mounts {
        None => Ok(CacheMountsPlace::Dir),
        Some(CacheMountsPlace::Registry) if !repository_is_given => {
            bail!("--cache-mounts=registry needs --cache, and a --cache-repo or a --destination")
        }
        Some(place) => Ok(place),
    }
}

/// Returns the repository beside the first destination, unless nothing is pushed: then nobody may push there, but a cache
/// that is only read does no harm.
fn default_repository(flags: &CacheFlags, delivery: &DeliveryOptions) -> Option<String> {
    let may_be_asked = delivery.push || flags.no_push_cache;
    let first = delivery.destinations.first().filter(|_| may_be_asked)?;
    Some(format!("{}{REPOSITORY_SUFFIX}", first.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::ExecutorFlags;
    use crate::image::Reference;
    use clap::Parser;

    fn options(arguments: &[&str], push: bool) -> Result<Option<StepCacheOptions>> {
        let arguments = ["executor"].iter().chain(arguments);
        let flags = ExecutorFlags::try_parse_from(arguments).unwrap();
        let delivery = DeliveryOptions {
            destinations: vec![Reference::parse("r.example:5000/team/app:1").unwrap()],
            push,
            ..DeliveryOptions::default()
        };
        let context = Path::new("/workspace");
        StepCacheOptions::new(&flags.cache, &delivery, context, Timestamp::MIN)
    }

    #[test]
    fn the_repository_is_the_named_one_or_lies_beside_the_image() {
        let repository = |arguments: &[&str]| {
            let options = options(arguments, true).unwrap()?;
            Some(options.repository.unwrap_or_else(|| "none".to_owned()))
        };
        let text = |text: &str| Some(text.to_owned());
        let beside = "r.example:5000/team/app/cache";
        assert_eq!(repository(&[]), None);
        assert_eq!(repository(&["--cache=false", "--cache-dir=/c"]), None);
        assert_eq!(repository(&["--cache-dir=/c"]), text("none"));
        assert_eq!(repository(&["--cache"]), text(beside));
        assert_eq!(repository(&["--cache", "--cache-repo="]), text(beside));
        assert_eq!(repository(&["--cache", "--cache-repo=r/c"]), text("r/c"));
        assert_eq!(repository(&["--cache-repo=r/c"]), None);
    }

    #[test]
    fn without_a_push_the_cache_must_have_a_place() {
        assert!(options(&["--cache"], false).is_err());
        for arguments in [
            &["--cache", "--cache-repo=r/c"][..],
            &["--cache", "--cache-dir=/c"],
            &["--cache", "--no-push-cache"],
        ] {
            assert!(
                options(arguments, false).unwrap().is_some(),
                "{arguments:?}"
            );
        }
    }

    #[test]
    fn copies_are_in_a_repository_only_if_they_are_wanted_there() {
        let rules = |arguments: &[&str]| {
            let arguments = [&["--cache"], arguments].concat();
            options(&arguments, true).unwrap().unwrap().rules
        };
        let copies = |arguments: &[&str]| {
            let rules = rules(arguments);
            (rules.copies, rules.copies_in_repository)
        };
        assert_eq!(copies(&[]), (true, false));
        assert_eq!(copies(&["--cache-copy-layers"]), (true, true));
        assert_eq!(copies(&["--cache-copy-layers=false"]), (false, false));
        assert!(rules(&[]).runs && rules(&[]).pushes);
        assert!(!rules(&["--cache-run-layers=false"]).runs);
        assert!(!rules(&["--no-push-cache"]).pushes);
    }
}
