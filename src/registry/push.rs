//! Writing to a repository: blobs, then the manifest that lists them. This module must not decide what an image is made of.

use std::path::PathBuf;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use tracing::debug;

use super::client::Repository;
use super::error::{Call, ErrorKind, RegistryError};
use super::request::{Body, Redirects};
use super::upload_session::{OpenUpload, UploadSession};
use crate::image::stored_image::FilePart;
use crate::image::{Descriptor, Digest, MediaType};

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Registries disagree about the status of a success.
pub(super) const WRITTEN: [StatusCode; 4] = [
    StatusCode::CREATED,
    StatusCode::OK,
    StatusCode::ACCEPTED,
    StatusCode::NO_CONTENT,
];

/// Where a blob's bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlobSource {
    /// A file that is exactly the blob and does not change while it is pushed.
    File(PathBuf),
    /// A stretch of such a file, as of an archive.
    Part(FilePart),
    /// A small blob, such as a config.
    Bytes(Bytes),
}

/// How a blob came to be where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlobDelivery {
    /// It was there before.
    AlreadyThere,
    /// The registry took it from another of its repositories.
    Mounted,
    /// It was sent.
    Uploaded,
    /// A foreign layer: it stays at its own URLs and must not be sent.
    LeftElsewhere,
}

/// What came of looking for a blob.
#[derive(Debug)]
pub enum Lookup {
    /// Nothing needs to be sent.
    Delivered(BlobDelivery),
    /// It must be sent, with this.
    Missing(UploadTicket),
}

/// The right to send a blob that is missing; holds the upload that a refused mount may have opened.
/// That is cancelled if nothing is sent.
#[derive(Debug)]
pub struct UploadTicket(Option<OpenUpload>);

/// How a manifest came to be where it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestDelivery {
    /// It was sent.
    Written,
    /// The registry refused to write it, and has exactly this one under that name.
    AlreadyThere,
}

impl Repository {
    /// Makes sure that the repository has a blob: looks, mounts it from another repository of the same registry, or sends it.
    pub async fn push_blob(
        &self,
        descriptor: &Descriptor,
        source: &BlobSource,
        mount_from: Option<&str>,
    ) -> Result<BlobDelivery, RegistryError> {
        match self.find_blob(descriptor, mount_from).await? {
            Lookup::Delivered(delivery) => Ok(delivery),
            Lookup::Missing(ticket) => self.send_blob(descriptor, source, ticket).await,
        }
    }

    /// The first half of [`Self::push_blob`], for those who get hold of the bytes only if they must: looks for the blob, and
    /// mounts it from another repository of the same registry.
    pub async fn find_blob(
        &self,
        descriptor: &Descriptor,
        mount_from: Option<&str>,
    ) -> Result<Lookup, RegistryError> {
        if descriptor.media_type.is_foreign_layer() {
            return Ok(Lookup::Delivered(BlobDelivery::LeftElsewhere));
        }
        if self.has_blob(descriptor).await? {
            return Ok(Lookup::Delivered(BlobDelivery::AlreadyThere));
        }
        let upload = match mount_from.filter(|from| *from != self.name()) {
            Some(from) => match self.mount_blob(&descriptor.digest, from).await {
                Mount::Done => return Ok(Lookup::Delivered(BlobDelivery::Mounted)),
                Mount::Session(session) => Some(OpenUpload::new(self, session)),
                Mount::Refused => None,
            },
            None => None,
        };
        Ok(Lookup::Missing(UploadTicket(upload)))
    }

    /// The second half of [`Self::push_blob`]: sends a blob that was looked for and is missing.
    pub async fn send_blob(
        &self,
        descriptor: &Descriptor,
        source: &BlobSource,
        ticket: UploadTicket,
    ) -> Result<BlobDelivery, RegistryError> {
        self.upload(descriptor, source, ticket.0).await?;
        Ok(BlobDelivery::Uploaded)
    }

    /// Tells whether the repository has a blob, with all its bytes as far as it says how many they are.
    pub async fn has_blob(&self, descriptor: &Descriptor) -> Result<bool, RegistryError> {
        let url = self.url(&["blobs", descriptor.digest.as_str()]).await?;
        // A registry that sends us to its storage has looked there first.
        let request = self.writing(Method::HEAD, url).redirects(Redirects::None);
        let statuses = [
            StatusCode::OK,
            StatusCode::TEMPORARY_REDIRECT,
            StatusCode::PERMANENT_REDIRECT,
            StatusCode::FOUND,
            StatusCode::SEE_OTHER,
            StatusCode::MOVED_PERMANENTLY,
        ];
        match self.transport().send_until(&request, &statuses).await {
            Ok(response) if response.status() == StatusCode::OK => {
                let size = response.announced_length();
                // A proxy between may leave the length out, or say 0 as there is no body.
                Ok(size.is_none_or(|size| size == 0 || size == descriptor.size))
            }
            Ok(_) => Ok(true),
            // Artifactory answers 403 for what is not there; if access is the trouble, the upload will say so, with words.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Forbidden) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a manifest under a tag or under its own digest. What it lists must be there already. `bytes` are stored as they are,
    /// and `media_type` must be what they say.
    pub async fn put_manifest(
        &self,
        tag_or_digest: &str,
        media_type: &MediaType,
        bytes: &Bytes,
    ) -> Result<ManifestDelivery, RegistryError> {
        let url = self.url(&["manifests", tag_or_digest]).await?;
        let content_type = HeaderValue::from_str(media_type.as_str());
        let content_type =
            content_type.unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let request = self
            .writing(Method::PUT, url)
            .header(CONTENT_TYPE, content_type)
            .body(Body::Bytes(bytes.clone()));
        let own = Digest::of(bytes);
        let response = match self.transport().send_until(&request, &WRITTEN).await {
            Ok(response) => response,
            Err(error) if may_be_there_already(&error) && self.holds(tag_or_digest, &own).await => {
                debug!("`{}` is there already: {error}", self.image(tag_or_digest));
                return Ok(ManifestDelivery::AlreadyThere);
            }
            Err(error) => return Err(error),
        };
        let told = response
            .header(&CONTENT_DIGEST)
            .and_then(|text| Digest::parse(text).ok());
        match told.filter(|told| told.algorithm() == own.algorithm() && *told != own) {
            None => {
                self.note_referrer(&response, media_type, bytes).await?;
                Ok(ManifestDelivery::Written)
            }
            Some(actual) => Err(RegistryError::DigestMismatch {
                call: Box::new(Call::new(&request.method, &request.url)),
                expected: own,
                actual,
            }),
        }
    }

    /// Finds out whether blobs may be pushed here, by opening an upload and cancelling it.
    pub async fn check_push_access(&self) -> Result<(), RegistryError> {
        self.start_upload(None).await?.cancel().await;
        Ok(())
    }

    /// Asks the registry to take a blob from another of its repositories. Whatever goes wrong with that, it can still be sent.
    async fn mount_blob(&self, digest: &Digest, from: &str) -> Mount {
        match self.try_mount(digest, from).await {
            Ok(mount) => mount,
            Err(error) => {
                debug!("cannot mount `{digest}` from `{from}`: {error}");
                Mount::Refused
            }
        }
    }

    async fn try_mount(&self, digest: &Digest, from: &str) -> Result<Mount, RegistryError> {
        let mut url = self.uploads_url().await?;
        url.query_pairs_mut()
            .append_pair("mount", digest.as_str())
            .append_pair("from", from);
        let mut request = self.writing(Method::POST, url);
        request
            .scopes
            .extend(self.registry().repository(from).read_scopes());
        let statuses = [StatusCode::CREATED, StatusCode::ACCEPTED];
        let response = self.transport().send_for(&request, &statuses).await?;
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Done),
            _ => UploadSession::read(&response).map(Mount::Session),
        }
    }

    async fn holds(&self, tag_or_digest: &str, digest: &Digest) -> bool {
        let there = self.resolve(tag_or_digest).await;
        there.is_ok_and(|there| there.digest == *digest)
    }
}

/// What came of asking for a mount.
enum Mount {
    Done,
    /// The registry would rather have the blob sent, and has opened an upload for it.
    Session(UploadSession),
    Refused,
}

/// Immutable tags are refused with these, each registry in its own way.
fn may_be_there_already(error: &RegistryError) -> bool {
    let statuses = [
        StatusCode::BAD_REQUEST,
        StatusCode::FORBIDDEN,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::CONFLICT,
        StatusCode::PRECONDITION_FAILED,
    ];
    error
        .status()
        .is_some_and(|status| statuses.contains(&status))
}

#[cfg(test)]
mod habits;
#[cfg(test)]
mod tests;
