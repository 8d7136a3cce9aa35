//! An image that is there already, in a registry or in a file: finding it, and reading what it says of itself.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio_util::io::SyncIoBridge;

use crate::image::config::MAX_CONFIG_BYTES;
use crate::image::manifest::ManifestDocument;
use crate::image::stored_image::StoredImages;
use crate::image::{Descriptor, Digest, Manifest, Platform, Reference};
use crate::registry::{Registries, Repository};

use super::context_options::layout_image;
use super::environment::absolute;

/// Where an image is, as the user says it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ImagePlace {
    /// In a registry.
    Registry(Reference),
    /// In a file or directory.
    File {
        path: PathBuf,
        tag: Option<String>,
        digest: Option<Digest>,
    },
}

/// An image or index that was found.
pub(super) struct ExistingImage {
    /// The registry's name for it, or its path.
    pub(super) name: String,
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
    pub(super) document: ManifestDocument,
    source: Source,
}

/// One image for one platform.
pub(super) struct PlatformImage {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Bytes,
    pub(super) manifest: Manifest,
}

enum Source {
    Registry(Repository),
    File(StoredImages),
}

impl ImagePlace {
    /// Reads a reference, a path, or either with a scheme. What is there as a file is meant as one, and so is what begins as
    /// only paths do; a directory must be a layout to be taken for more than a name.
    pub(super) fn parse(text: &str, current_dir: &Path) -> Result<Self> {
        if let Some(reference) = text.strip_prefix("docker-image://") {
            return Ok(Self::Registry(Reference::parse(reference)?));
        }
        if let Some(layout) = text.strip_prefix("oci-layout://") {
            let image = layout_image(layout, current_dir)?;
            return Ok(Self::File {
                path: image.dir,
                tag: image.tag,
                digest: image.digest,
            });
        }
        let path = absolute(Path::new(text), current_dir);
        let looks_like_a_path = ["/", "./", "../"]
            .iter()
            .any(|start| text.starts_with(start));
        if looks_like_a_path || path.is_file() || path.join("oci-layout").is_file() {
            return Ok(Self::File {
                path,
                tag: None,
                digest: None,
            });
        }
        Ok(Self::Registry(Reference::parse(text)?))
    }
}

impl ExistingImage {
    /// Finds what a place has.
    pub(super) async fn find(place: ImagePlace, registries: &Registries) -> Result<Self> {
        match place {
            ImagePlace::Registry(reference) => {
                let (repository, fetched) = registries.fetch_manifest(&reference).await?;
                Ok(Self {
                    name: reference.to_string(),
                    descriptor: fetched.descriptor,
                    bytes: fetched.bytes,
                    document: fetched.document,
                    source: Source::Registry(repository),
                })
            }
            ImagePlace::File { path, tag, digest } => {
                let open = move || Self::in_file(&path, tag.as_deref(), digest.as_ref());
                tokio::task::spawn_blocking(open)
                    .await
                    .context("reading the image stopped")?
            }
        }
    }

    fn in_file(path: &Path, tag: Option<&str>, digest: Option<&Digest>) -> Result<Self> {
        let images = StoredImages::open(path)?;
        let listed = match digest {
            None => images.find(tag)?.clone(),
            Some(digest) => images.find_digest(digest)?,
        };
        let (bytes, document) = images.document(&listed)?;
        Ok(Self {
            name: path.display().to_string(),
            descriptor: listed,
            bytes: bytes.into(),
            document,
            source: Source::File(images),
        })
    }

    /// Returns the image, of several that for `platform`.
    pub(super) async fn image(&self, platform: &Platform) -> Result<PlatformImage> {
        let index = match &self.document {
            ManifestDocument::Image(manifest) => {
                return Ok(PlatformImage {
                    descriptor: self.descriptor.clone(),
                    bytes: self.bytes.clone(),
                    manifest: (**manifest).clone(),
                });
            }
            ManifestDocument::Index(index) => index,
        };
        let chosen = index.manifest_for(platform);
        let chosen =
            chosen.with_context(|| format!("cannot choose an image of `{}`", self.name))?;
        let (bytes, document) = match &self.source {
            Source::Registry(repository) => {
                let fetched = repository.fetch_manifest(chosen.digest.as_str()).await?;
                (fetched.bytes, fetched.document)
            }
            Source::File(images) => {
                let (bytes, document) = images.document(chosen)?;
                (bytes.into(), document)
            }
        };
        match document {
            ManifestDocument::Image(manifest) => Ok(PlatformImage {
                descriptor: chosen.clone(),
                bytes,
                manifest: *manifest,
            }),
            ManifestDocument::Index(_) => {
                bail!(
                    "the index of `{}` lists another index for {platform}",
                    self.name
                )
            }
        }
    }

    /// Reads an image's config, which has its digest.
    pub(super) async fn config(&self, image: &PlatformImage) -> Result<Bytes> {
        let config = &image.manifest.config;
        let limit = MAX_CONFIG_BYTES;
        match &self.source {
            Source::Registry(repository) => Ok(repository.fetch_blob(config, limit as u64).await?),
            Source::File(images) => Ok(images.small_blob(config, limit)?.into()),
        }
    }

    /// Opens a layer; its bytes have its digest, or reading them fails. What is returned must be read on a thread that may
    /// block.
    pub(super) async fn open_layer(
        &self,
        layer: &Descriptor,
    ) -> Result<Box<dyn std::io::Read + Send>> {
        Ok(match &self.source {
            Source::Registry(repository) => {
                let reader = repository.open_blob(layer).await?;
                Box::new(SyncIoBridge::new(reader.into_async_read()))
            }
            Source::File(images) => Box::new(images.blob(layer)?.open()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_references() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        std::fs::create_dir(dir.join("alpine")).unwrap();
        std::fs::create_dir(dir.join("layout")).unwrap();
        std::fs::write(dir.join("layout/oci-layout"), "{}").unwrap();
        std::fs::write(dir.join("image.tar"), "").unwrap();
        let registry = |name: &str| ImagePlace::Registry(Reference::parse(name).unwrap());
        let file = |path: &str, tag: Option<&str>| ImagePlace::File {
            path: dir.join(path),
            tag: tag.map(str::to_owned),
            digest: None,
        };
        let cases = [
            ("alpine", registry("alpine:latest")),
            ("localhost:5000/app:1", registry("localhost:5000/app:1")),
            ("docker-image://layout", registry("layout")),
            ("layout", file("layout", None)),
            ("image.tar", file("image.tar", None)),
            ("./missing", file("./missing", None)),
            ("oci-layout://layout:v1", file("layout", Some("v1"))),
        ];
        for (text, expected) in cases {
            assert_eq!(ImagePlace::parse(text, dir).unwrap(), expected, "{text}");
        }
        assert!(ImagePlace::parse("No Image", dir).is_err());
    }
}
