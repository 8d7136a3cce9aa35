//! Reading from a repository: what a tag stands for, manifests, configs, blobs. Everything is checked against its digest
//! before it is given out. This module must not unpack or store what it reads.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use tracing::debug;

use super::blob_reader::BlobReader;
use super::client::Repository;
use super::error::{Call, RegistryError};
use super::request::{Redirects, Request};
use super::response::Response;
use crate::http::retry::with_retries;
use crate::image::config::{ImageConfig, MAX_CONFIG_BYTES};
use crate::image::digest::DigestHasher;
use crate::image::manifest::{MAX_MANIFEST_BYTES, ManifestDocument, ManifestError};
use crate::image::{Descriptor, Digest, ImageFormat, Manifest, MediaType, Platform};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A manifest or index as it is stored, and what it says.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// Type, digest and size of the bytes.
    pub descriptor: Descriptor,
    /// What the digest was taken over.
    pub bytes: Bytes,
    /// What the bytes say.
    pub document: ManifestDocument,
}

/// The manifest of one image for one platform.
#[derive(Clone, Debug)]
pub struct FetchedImage {
    /// Type, digest and size of the manifest.
    pub descriptor: Descriptor,
    /// What the digest was taken over.
    pub bytes: Bytes,
    /// What the bytes say.
    pub manifest: Manifest,
    /// The index that the manifest was chosen from. `None` if the name stands for the image itself.
    pub index: Option<Descriptor>,
}

impl Repository {
    /// Finds out what a tag or digest stands for, without reading it if the registry tells (HEAD; Docker Hub does not count
    /// those). A digest that the registry tells is its word; reading by that digest proves it.
    pub async fn resolve(&self, tag_or_digest: &str) -> Result<Descriptor, RegistryError> {
        let request = self.manifest_request(Method::HEAD, tag_or_digest).await?;
        let answered = self
            .transport()
            .send_until(&request, &[StatusCode::OK])
            .await;
        match answered.map(|response| told_descriptor(&response, tag_or_digest)) {
            Ok(Some(descriptor)) => Ok(descriptor),
            // An answer to HEAD has no body; for what is merely missing the status says enough.
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Err(error),
            Err(error) if error.status().is_none() => Err(error),
            Ok(None) | Err(_) => {
                debug!(
                    "asking for the manifest of `{}` itself",
                    self.image(tag_or_digest)
                );
                Ok(self.fetch_manifest(tag_or_digest).await?.descriptor)
            }
        }
    }

    /// Reads a manifest or index. By digest, the bytes are checked against it; by tag, against the registry's own header.
    pub async fn fetch_manifest(
        &self,
        tag_or_digest: &str,
    ) -> Result<FetchedManifest, RegistryError> {
        let request = self.manifest_request(Method::GET, tag_or_digest).await?;
        let fetch = || async {
            let response = self
                .transport()
                .send_for(&request, &[StatusCode::OK])
                .await?;
            read_manifest(response, Digest::parse(tag_or_digest).ok()).await
        };
        with_retries(&self.transport().retry_policy(), fetch).await
    }

    /// Reads the manifest of the image for a platform. A name that stands for one image gives that image, whatever it is for:
    /// only its config tells.
    pub async fn fetch_image(
        &self,
        tag_or_digest: &str,
        platform: &Platform,
    ) -> Result<FetchedImage, RegistryError> {
        let fetched = self.fetch_manifest(tag_or_digest).await?;
        let index = match fetched.document {
            ManifestDocument::Image(manifest) => {
                return Ok(FetchedImage {
                    descriptor: fetched.descriptor,
                    bytes: fetched.bytes,
                    manifest: *manifest,
                    index: None,
                });
            }
            ManifestDocument::Index(index) => index,
        };
        let chosen = index
            .manifest_for(platform)
            .map_err(|source| RegistryError::Platform {
                image: self.image(tag_or_digest),
                source,
            })?;
        let fetched_image = self.fetch_listed_image(chosen).await?;
        Ok(FetchedImage {
            index: Some(fetched.descriptor),
            ..fetched_image
        })
    }

    /// Reads an image's config, checked against its digest and size.
    pub async fn fetch_config(
        &self,
        descriptor: &Descriptor,
    ) -> Result<ImageConfig, RegistryError> {
        let bytes = self.fetch_blob(descriptor, MAX_CONFIG_BYTES as u64).await?;
        ImageConfig::parse(&bytes).map_err(|source| RegistryError::Config {
            digest: descriptor.digest.clone(),
            source,
        })
    }

    /// Reads a small blob whole, checked against its digest and size. `limit` in bytes guards the memory.
    pub async fn fetch_blob(
        &self,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let request = self.blob_request(&descriptor.digest).await?;
        let call = || Box::new(Call::new(&request.method, &request.url));
        if descriptor.size > limit {
            return Err(RegistryError::TooLarge {
                call: call(),
                limit,
            });
        }
        // One byte more than expected shows that there is more.
        let body = self.read_small(&request, descriptor.size + 1).await;
        let body = match body {
            Err(RegistryError::TooLarge { .. }) => {
                return Err(size_mismatch(call(), descriptor.size, descriptor.size + 1));
            }
            other => other?,
        };
        let actual = body.len() as u64;
        if actual != descriptor.size {
            return Err(size_mismatch(call(), descriptor.size, actual));
        }
        check_digest(call(), &descriptor.digest, &body)?;
        Ok(body)
    }

    /// Opens a blob of any size for reading; see [`BlobReader`] for what is checked and when.
    pub async fn open_blob(&self, descriptor: &Descriptor) -> Result<BlobReader, RegistryError> {
        let request = self.blob_request(&descriptor.digest).await?;
        BlobReader::open(self.registry().clone(), request, descriptor.clone()).await
    }

    async fn fetch_listed_image(&self, listed: &Descriptor) -> Result<FetchedImage, RegistryError> {
        let fetched = self.fetch_manifest(listed.digest.as_str()).await?;
        let call = || async {
            let request = self
                .manifest_request(Method::GET, listed.digest.as_str())
                .await?;
            Ok::<_, RegistryError>(Box::new(Call::new(&request.method, &request.url)))
        };
        if fetched.descriptor.size != listed.size {
            return Err(size_mismatch(
                call().await?,
                listed.size,
                fetched.descriptor.size,
            ));
        }
        match fetched.document {
            ManifestDocument::Image(manifest) => Ok(FetchedImage {
                descriptor: listed.clone(),
                bytes: fetched.bytes,
                manifest: *manifest,
                index: None,
            }),
            ManifestDocument::Index(_) => Err(RegistryError::Manifest {
                call: call().await?,
                source: ManifestError::TypeMismatch {
                    document: fetched.descriptor.media_type.to_string(),
                    declared: listed.media_type.to_string(),
                },
            }),
        }
    }

    async fn manifest_request(
        &self,
        method: Method,
        tag_or_digest: &str,
    ) -> Result<Request, RegistryError> {
        let url = self.url(&["manifests", tag_or_digest]).await?;
        let types: Vec<&str> = MediaType::MANIFESTS.iter().map(MediaType::as_str).collect();
        let accepted =
            HeaderValue::from_str(&types.join(", ")).unwrap_or(HeaderValue::from_static("*/*"));
        Ok(self.reading(method, url).header(ACCEPT, accepted))
    }

    async fn blob_request(&self, digest: &Digest) -> Result<Request, RegistryError> {
        let url = self.url(&["blobs", digest.as_str()]).await?;
        // Blobs live in object storage, and the digest vouches for whatever comes from there.
        Ok(self.reading(Method::GET, url).redirects(Redirects::All))
    }
}

/// What the headers say about a manifest. `None` if they do not say enough, or not what was asked for.
fn told_descriptor(response: &Response, tag_or_digest: &str) -> Option<Descriptor> {
    let told = Digest::parse(response.header(&CONTENT_DIGEST)?).ok()?;
    let is_as_asked = Digest::parse(tag_or_digest).map_or(true, |asked| asked == told);
    let media_type = content_type(response).filter(is_manifest_type)?;
    let size = response.announced_length()?;
    is_as_asked.then(|| Descriptor::new(media_type, told, size))
}

async fn read_manifest(
    response: Response,
    asked: Option<Digest>,
) -> Result<FetchedManifest, RegistryError> {
    let call = || Box::new(response.call().clone());
    let (call, declared) = (call(), content_type(&response));
    let told = response
        .header(&CONTENT_DIGEST)
        .and_then(|text| Digest::parse(text).ok());
    let bytes = response.body(MAX_MANIFEST_BYTES as u64).await?;
    let digest = asked.or(told).unwrap_or_else(|| Digest::of(&bytes));
    check_digest(call.clone(), &digest, &bytes)?;
    let document = ManifestDocument::parse(&bytes, declared.as_ref());
    let document = document.map_err(|source| RegistryError::Manifest { call, source })?;
    let media_type = declared
        .filter(is_manifest_type)
        .unwrap_or_else(|| own_type(&document));
    Ok(FetchedManifest {
        descriptor: Descriptor::new(media_type, digest, bytes.len() as u64),
        bytes,
        document,
    })
}

fn content_type(response: &Response) -> Option<MediaType> {
    response.header(&CONTENT_TYPE).map(MediaType::parse)
}

fn is_manifest_type(media_type: &MediaType) -> bool {
    MediaType::MANIFESTS.contains(media_type)
}

fn own_type(document: &ManifestDocument) -> MediaType {
    match document {
        ManifestDocument::Image(manifest) => manifest
            .media_type
            .clone()
            .unwrap_or(MediaType::Manifest(ImageFormat::Oci)),
        ManifestDocument::Index(index) => index
            .media_type
            .clone()
            .unwrap_or(MediaType::Index(ImageFormat::Oci)),
    }
}

fn check_digest(call: Box<Call>, expected: &Digest, bytes: &[u8]) -> Result<(), RegistryError> {
    let mut hasher = DigestHasher::new(expected.algorithm());
    hasher.update(bytes);
    let actual = hasher.finish();
    match actual == *expected {
        true => Ok(()),
        false => Err(RegistryError::DigestMismatch {
            call,
            expected: expected.clone(),
            actual,
        }),
    }
}

fn size_mismatch(call: Box<Call>, expected: u64, actual: u64) -> RegistryError {
    RegistryError::SizeMismatch {
        call,
        expected,
        actual,
    }
}

#[cfg(test)]
mod tests;
