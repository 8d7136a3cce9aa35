//! Base images: from the local directory where it has them, else from their registries; and kept there once pulled.
//!
//! What a tag stands for is always asked of the registry, with a request that has no body. What a digest stands for never
//! changes, and is asked of nobody if it is here.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;
use tracing::{debug, warn};

use super::local_cache::{CachedImage, HeldBlob, ImageDocument, LocalCache, LocalCacheError};
use super::registry_cache::with_causes;
use crate::image::config::MAX_CONFIG_BYTES;
use crate::image::manifest::ManifestDocument;
use crate::image::{BlobOrigin, Descriptor, Digest, ImageConfig, Manifest, Platform, Reference};
use crate::registry::pull::FetchedManifest;
use crate::registry::{Registries, RegistryError, Repository};

/// Where a build's base images come from.
#[derive(Debug)]
pub struct BaseImageCache {
    /// Asked for what is not here.
    pub registries: Arc<Registries>,
    /// `--cache-dir`. `None` if there is none.
    pub local: Option<Arc<LocalCache>>,
}

/// An image, of which at least manifest and config are here.
#[derive(Debug)]
pub struct ResolvedImage {
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// What it is made of.
    pub manifest: Manifest,
    /// How a container is started.
    pub config: ImageConfig,
    /// A repository that has the layers.
    pub origin: BlobOrigin,
    /// Where the layers are besides.
    pub layers: ImageLayers,
}

/// Where an image's layers are.
#[derive(Debug)]
pub enum ImageLayers {
    /// In the local directory, base first, as long as these are held. `None` for a layer that is fetched from elsewhere.
    Here(Vec<Option<HeldBlob>>),
    /// In the repository only.
    Registry(Box<PulledDocuments>),
}

/// What was pulled to find out what the image is: kept with the layers once these are here.
#[derive(Debug, Clone)]
pub struct PulledDocuments {
    manifest: ImageDocument,
    config: Vec<u8>,
    /// The index that the manifest was chosen from. `None` if the name stands for the image itself.
    index: Option<ImageDocument>,
}

/// A name, and what was found out about it: it stands for the same thing for all platforms of a build, and is asked for
/// and read at most once.
#[derive(Debug)]
pub struct ImageName {
    reference: Reference,
    told: OnceCell<(Repository, Descriptor)>,
    read: OnceCell<(Repository, FetchedManifest)>,
}

impl ImageName {
    /// Nothing is known of it yet.
    pub fn new(reference: &Reference) -> Self {
        Self {
            reference: reference.clone(),
            told: OnceCell::new(),
            read: OnceCell::new(),
        }
    }
}

impl BaseImageCache {
    /// Finds an image for a platform. A name that stands for one image gives that image, whatever it is for.
    pub async fn resolve(
        &self,
        name: &ImageName,
        platform: &Platform,
    ) -> Result<ResolvedImage, RegistryError> {
        let ImageName {
            reference,
            told,
            read,
        } = name;
        if let Some(digest) = reference.digest()
            && let Some(image) = self.find_here(digest, platform).await
        {
            // Whether the registry has it is not asked: it is only where layers may be mounted from.
            let origin = BlobOrigin {
                registry: reference.registry().to_owned(),
                repository: reference.repository().to_owned(),
            };
            return Ok(resolved_here(image, origin));
        }
        if self.local.is_none() {
            let ask = || self.registries.fetch_manifest(reference);
            let (repository, fetched) = read.get_or_try_init(ask).await?;
            return pull(repository, fetched.clone(), platform).await;
        }
        let ask = || self.registries.resolve(reference);
        let (repository, descriptor) = told.get_or_try_init(ask).await?;
        if let Some(image) = self.find_here(&descriptor.digest, platform).await {
            return Ok(resolved_here(image, origin_of(repository)));
        }
        let ask = || async {
            // By digest: the tag may have moved since.
            let fetched = repository.fetch_manifest(descriptor.digest.as_str());
            Ok::<_, RegistryError>((repository.clone(), fetched.await?))
        };
        let (repository, fetched) = read.get_or_try_init(ask).await?;
        pull(repository, fetched.clone(), platform).await
    }

    async fn find_here(&self, digest: &Digest, platform: &Platform) -> Option<CachedImage> {
        let local = Arc::clone(self.local.as_ref()?);
        let (digest, platform) = (digest.clone(), platform.clone());
        let finding = tokio::task::spawn_blocking(move || local.find_image(&digest, &platform));
        match finding.await {
            Ok(lookup) => lookup.hit(),
            Err(error) => {
                warn!("the cache directory is not used: {error}");
                None
            }
        }
    }

    /// Keeps an image that had to be pulled, now that its layers are here. `layer_file` says where the finished blob of
    /// each is. What goes wrong is a warning: the build has its image. Does nothing for one that is kept already, and
    /// where nothing can be written.
    pub async fn keep(&self, image: &ResolvedImage, layer_file: impl Fn(&Digest) -> PathBuf) {
        let (Some(local), ImageLayers::Registry(documents)) = (&self.local, &image.layers) else {
            return;
        };
        if !local.is_writable() {
            return;
        }
        let layers = image.manifest.layers.iter();
        let layers = layers.filter(|layer| !layer.media_type.is_foreign_layer());
        let layers: Vec<(Descriptor, PathBuf)> = layers
            .map(|layer| (layer.clone(), layer_file(&layer.digest)))
            .collect();
        let local = Arc::clone(local);
        let documents = documents.clone();
        let keeping =
            tokio::task::spawn_blocking(move || keep_in(&local, &documents, &layers)).await;
        let failure = match keeping {
            Ok(Ok(())) => return debug!("kept the image `{}`", image.descriptor.digest),
            Ok(Err(error)) => with_causes(&error),
            Err(error) => error.to_string(),
        };
        let digest = &image.descriptor.digest;
        warn!("the image `{digest}` is not kept: {failure}");
    }
}

fn keep_in(
    local: &LocalCache,
    documents: &PulledDocuments,
    layers: &[(Descriptor, PathBuf)],
) -> Result<(), LocalCacheError> {
    let held = layers
        .iter()
        .map(|(descriptor, file)| local.add_file(file, descriptor))
        .collect::<Result<Vec<_>, _>>()?;
    documents.store_in(local, &held)
}

impl PulledDocuments {
    /// Stores the image, whose layers are held.
    pub(super) fn store_in(
        &self,
        local: &LocalCache,
        layers: &[HeldBlob],
    ) -> Result<(), LocalCacheError> {
        local.store_image(&self.manifest, &self.config, layers)?;
        match &self.index {
            Some(index) => local.store_index(index),
            None => Ok(()),
        }
    }
}

fn resolved_here(image: CachedImage, origin: BlobOrigin) -> ResolvedImage {
    ResolvedImage {
        descriptor: image.descriptor,
        manifest: image.manifest,
        config: image.config,
        origin,
        layers: ImageLayers::Here(image.layers),
    }
}

/// Reads what tells what the image is: the manifest for the platform, and the config.
pub(super) async fn pull(
    repository: &Repository,
    fetched: FetchedManifest,
    platform: &Platform,
) -> Result<ResolvedImage, RegistryError> {
    let first = ImageDocument {
        descriptor: fetched.descriptor,
        bytes: fetched.bytes.to_vec(),
    };
    let (document, manifest, index) = match fetched.document {
        ManifestDocument::Image(manifest) => (first, *manifest, None),
        ManifestDocument::Index(list) => {
            let chosen = list
                .manifest_for(platform)
                .map_err(|source| RegistryError::Platform {
                    image: name_of(repository, &first.descriptor.digest),
                    source,
                })?;
            let image = repository
                .fetch_image(chosen.digest.as_str(), platform)
                .await?;
            let document = ImageDocument {
                descriptor: image.descriptor,
                bytes: image.bytes.to_vec(),
            };
            (document, image.manifest, Some(first))
        }
    };
    let limit = MAX_CONFIG_BYTES as u64;
    let config_bytes = repository.fetch_blob(&manifest.config, limit).await?;
    let config = ImageConfig::parse(&config_bytes).map_err(|source| RegistryError::Config {
        digest: manifest.config.digest.clone(),
        source,
    })?;
    Ok(ResolvedImage {
        descriptor: document.descriptor.clone(),
        manifest,
        config,
        origin: origin_of(repository),
        layers: ImageLayers::Registry(Box::new(PulledDocuments {
            manifest: document,
            config: config_bytes.to_vec(),
            index,
        })),
    })
}

fn origin_of(repository: &Repository) -> BlobOrigin {
    BlobOrigin {
        registry: repository.registry().host().to_owned(),
        repository: repository.name().to_owned(),
    }
}

fn name_of(repository: &Repository, digest: &Digest) -> String {
    let host = repository.registry().host();
    format!("{host}/{}@{digest}", repository.name())
}
