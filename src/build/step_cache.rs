//! The layers of steps that were executed before: looking for them, and keeping new ones beside the build.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use jiff::Timestamp;
use tokio::runtime::Handle;

use crate::cache::inputs::{BaseInputs, LayerForm, StepInputs};
use crate::cache::{
    CacheEntry, CacheKey, EntryLooks, FoundLayer, LayerCache, LayerPlace, LocalCache, Lookup,
    Wanted,
};
use crate::image::blob_store::BlobStore;
use crate::image::layer_writer::Layer;
use crate::image::{BlobOrigin, Descriptor, DiffId, ImageFormat, MediaType, Platform};

use super::BuildOptions;
use super::action::{Action, Work};
use super::base::BaseImage;
use super::layers::{LayerContent, LayerOrigin, PendingLayer, StageLayer, StoredLayer};
use super::mount_carrier::CarriedMounts;
use super::state::FilesState;

mod one_layer;

/// How long a build that has failed waits for layers that are on their way to a cache.
const PATIENCE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Which steps are cached, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheRules {
    /// RUN and WORKDIR are looked for and kept.
    pub runs: bool,
    /// COPY and ADD are looked for and kept in the local directory.
    pub copies: bool,
    /// They are in the repository as well.
    pub copies_in_repository: bool,
    /// What steps make is kept in the repository.
    pub pushes: bool,
    /// The user is told of each step why it was found or not.
    pub explains: bool,
}

/// The caches of a build.
pub struct StepCache {
    /// What is built, in words that stay the same from build to build: the repository, or the context.
    pub subject: String,
    /// Where layers are.
    pub layers: LayerCache,
    /// Which ones.
    pub rules: CacheRules,
    /// Where the contents of cache mounts are kept. `None` where they end with the build.
    pub mounts: Option<CarriedMounts>,
}

/// A layer on its way to a cache. Gives a repository that has it, once it is there.
pub(super) type Keeping = Shared<BoxFuture<'static, Option<BlobOrigin>>>;

/// What the stages of a build ask and tell the cache.
pub(super) struct StepCaching {
    cache: Arc<StepCache>,
    blobs: Arc<BlobStore>,
    form: LayerForm,
    left_out: BTreeSet<PathBuf>,
    format: ImageFormat,
    runtime: Handle,
    under_way: Mutex<Vec<Keeping>>,
}

/// What is kept of a step, apart from its layer.
pub(super) struct Kept<'a> {
    pub(super) work: &'a Work,
    pub(super) platform: &'a Platform,
    /// The key by definition.
    pub(super) definition: CacheKey,
    /// What it depends on by content.
    pub(super) inputs: StepInputs,
    /// The stage's files before it, then those of each stage or image that it took files from.
    pub(super) made_of: Vec<FilesState>,
}

impl StepCaching {
    /// Must be called in the build's runtime.
    pub(super) fn new(
        cache: StepCache,
        blobs: Arc<BlobStore>,
        form: LayerForm,
        options: &BuildOptions,
    ) -> Self {
        Self {
            cache: Arc::new(cache),
            blobs,
            form,
            left_out: options.ignored_paths.paths().cloned().collect(),
            format: options.format,
            runtime: Handle::current(),
            under_way: Mutex::default(),
        }
    }

    pub(super) fn rules(&self) -> CacheRules {
        self.cache.rules
    }

    /// Says whether what steps make is kept anywhere.
    pub(super) fn keeps(&self) -> bool {
        let LayerCache { local, repository } = &self.cache.layers;
        let pushes = repository.is_some() && self.cache.rules.pushes;
        pushes || local.as_ref().is_some_and(|local| local.is_writable())
    }

    pub(super) fn subject(&self) -> &str {
        &self.cache.subject
    }

    /// Returns the local directory.
    pub(super) fn local(&self) -> Option<&LocalCache> {
        self.cache.layers.local.as_deref()
    }

    /// Returns the key of no files at all.
    pub(super) fn key_of_nothing(&self, platform: &Platform) -> CacheKey {
        self.key_of_files(platform, Vec::new())
    }

    /// Returns the key of an image's files.
    pub(super) fn key_of_image(&self, image: &BaseImage) -> CacheKey {
        let config = &image.config;
        self.key_of_files(&config.platform(), config.rootfs.diff_ids.clone())
    }

    fn key_of_files(&self, platform: &Platform, layers: Vec<DiffId>) -> CacheKey {
        let base = BaseInputs {
            platform: platform.clone(),
            layers,
            form: self.form,
            left_out: self.left_out.clone(),
        };
        base.fingerprint().key()
    }

    /// Returns what to look for. `None` for a step that is not cached.
    pub(super) fn wanted(&self, work: &Work, key: &CacheKey) -> Option<Wanted> {
        let rules = self.cache.rules;
        let (is_cached, in_repository) = match &work.action {
            Action::Run(_) | Action::Workdir => (rules.runs, true),
            Action::Transfer(_) => {
                let has_place = rules.copies_in_repository || self.local().is_some();
                (rules.copies && has_place, rules.copies_in_repository)
            }
        };
        is_cached.then(|| Wanted {
            key: key.clone(),
            in_repository,
        })
    }

    /// Looks for all that is wanted at once, and answers in its order.
    pub(super) async fn look_up(&self, wanted: &[Wanted]) -> Vec<Lookup<FoundLayer>> {
        self.cache.layers.look_up(wanted).await
    }

    /// Returns a found layer as a stage has it.
    pub(super) fn layer_of(&self, found: &FoundLayer) -> StageLayer {
        let entry = &found.entry;
        let origin = match &found.place {
            LayerPlace::Registry(origin) => LayerOrigin::Registry(origin.clone()),
            LayerPlace::Here { blob, .. } => {
                if let Some(path) = blob.path() {
                    let guard = Arc::clone(blob) as _;
                    self.blobs.lend(&entry.layer.digest, path, guard);
                }
                LayerOrigin::Cache
            }
        };
        StageLayer {
            created: Some(entry.created),
            content: LayerContent::Stored(Arc::new(StoredLayer {
                descriptor: entry.layer.clone(),
                diff_id: entry.diff_id.clone(),
                origin,
            })),
            keeping: None,
        }
    }

    /// Keeps what a step makes, once it is made, beside the build.
    pub(super) fn keep(
        &self,
        kept: Kept<'_>,
        layer: &PendingLayer,
        created: Option<Timestamp>,
    ) -> Option<Keeping> {
        let wanted = self.wanted(kept.work, &kept.definition)?;
        let in_repository = wanted.in_repository && self.cache.rules.pushes;
        let looks = self.looks(&kept);
        let (cache, blobs, format) = (
            Arc::clone(&self.cache),
            Arc::clone(&self.blobs),
            self.format,
        );
        let layer = layer.clone();
        let (definition, inputs, made_of) = (kept.definition, kept.inputs, kept.made_of);
        let task = self.runtime.spawn(async move {
            // A layer that could not be written ends the build, and says so itself.
            let layer = layer.await.ok()?;
            let entry = entry(definition, inputs, &made_of, |keys, made_of| CacheEntry {
                keys,
                layer: descriptor(&layer, format),
                diff_id: layer.diff_id.clone(),
                created: created.unwrap_or_default(),
                made_of,
            });
            let file = blobs.path(&layer.digest);
            let entry = entry.await?;
            cache
                .layers
                .store(&entry, &looks, &file, in_repository)
                .await
        });
        Some(self.watch(async move { task.await.ok().flatten() }))
    }

    /// Keeps under its key by definition too what was found by its content.
    pub(super) fn keep_found(&self, kept: Kept<'_>, found: FoundLayer) {
        let is_read_only = match &found.place {
            LayerPlace::Registry(_) => !self.cache.rules.pushes,
            LayerPlace::Here { cache, .. } => !cache.is_writable(),
        };
        if is_read_only {
            return;
        }
        let looks = self.looks(&kept);
        let cache = Arc::clone(&self.cache);
        let (definition, inputs, made_of) = (kept.definition, kept.inputs, kept.made_of);
        let task = self.runtime.spawn(async move {
            let entry = entry(definition, inputs, &made_of, |keys, made_of| CacheEntry {
                keys,
                made_of,
                ..found.entry.clone()
            });
            if let Some(entry) = entry.await {
                cache.layers.store_again(&entry, &looks, &found.place).await;
            }
        });
        // A task that panicked has kept nothing; the build has its layer all the same.
        drop(self.watch(async move { task.await.ok().and(None) }));
    }

    fn looks(&self, kept: &Kept<'_>) -> EntryLooks {
        EntryLooks {
            created_by: kept.work.created_by.clone(),
            platform: kept.platform.clone(),
            format: self.format,
        }
    }

    fn watch(&self, keeping: impl Future<Output = Option<BlobOrigin>> + Send + 'static) -> Keeping {
        let keeping = keeping.boxed().shared();
        let mut under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        under_way.push(keeping.clone());
        keeping
    }

    /// Waits until everything is kept that is to be kept.
    pub(super) async fn finish(&self) {
        let under_way = {
            let mut under_way = self
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *under_way)
        };
        futures_util::future::join_all(under_way).await;
    }

    /// As [`Self::finish`], but not for long: what has not arrived by then is made again the next time.
    pub(super) async fn finish_soon(&self) {
        let _ = tokio::time::timeout(PATIENCE_AFTER_FAILURE, self.finish()).await;
    }
}

/// Makes an entry once it is known what the step was executed on. `None` if that will never be.
async fn entry(
    definition: CacheKey,
    inputs: StepInputs,
    made_of: &[FilesState],
    make: impl FnOnce(Vec<CacheKey>, Vec<CacheKey>) -> CacheEntry,
) -> Option<CacheEntry> {
    let mut states = Vec::with_capacity(made_of.len());
    for state in made_of {
        states.push(state.wait().await?);
    }
    let content = inputs.on(states.first()?.clone()).fingerprint().key();
    let mut keys = vec![definition];
    if !keys.contains(&content) {
        keys.push(content);
    }
    Some(make(keys, states))
}

fn descriptor(layer: &Layer, format: ImageFormat) -> Descriptor {
    let media_type = MediaType::layer(format, layer.compression.family());
    Descriptor::new(media_type, layer.digest.clone(), layer.size)
}
