//! An upload that a registry has opened: where it goes on, and its end, also where nobody waits for it any more.
//! This module must not know how blobs are sent.

use reqwest::header::HeaderName;
use reqwest::{Method, StatusCode};
use tracing::debug;
use url::Url;

use super::client::Repository;
use super::error::RegistryError;
use super::push::WRITTEN;
use super::response::Response;
use crate::image::Digest;
use crate::image::digest::DigestAlgorithm;

/// GHCR takes no more in one PATCH; larger pieces would gain nothing where they are needed at all.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;

/// distribution-spec: the least that the registry takes in one PATCH, the last one excepted.
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// What the registry said when it opened an upload.
#[derive(Clone, Debug)]
pub(super) struct UploadSession {
    /// Where the next request goes, exactly as the registry said it.
    pub(super) location: Url,
    /// The registry's wish for pieces, in bytes.
    pub(super) chunk_bytes: u64,
}

/// An upload that is cancelled when this value goes, unless it is [`close`](Self::close)d before.
#[derive(Debug)]
pub(super) struct OpenUpload {
    repository: Repository,
    session: UploadSession,
    /// Whether there is nothing to cancel any more.
    is_over: bool,
}

impl UploadSession {
    pub(super) fn read(response: &Response) -> Result<Self, RegistryError> {
        let Some(location) = response.location()? else {
            return Err(response.protocol_error("it has no `Location`"));
        };
        let least = response
            .header(&CHUNK_MIN_LENGTH)
            .and_then(|text| text.parse().ok());
        Ok(Self {
            location,
            chunk_bytes: CHUNK_BYTES.max(least.unwrap_or(0)),
        })
    }
}

impl OpenUpload {
    pub(super) fn new(repository: &Repository, session: UploadSession) -> Self {
        Self {
            repository: repository.clone(),
            session,
            is_over: false,
        }
    }

    pub(super) fn session(&self) -> &UploadSession {
        &self.session
    }

    /// The upload has become a blob.
    pub(super) fn close(mut self) {
        self.is_over = true;
    }

    /// Tells the registry that no more will come. It finds out by itself if it does not hear us.
    pub(super) async fn cancel(mut self) {
        self.is_over = true;
        cancel(&self.repository, &self.session).await;
    }
}

impl Drop for OpenUpload {
    /// distribution-spec "Cancel an upload". Another blob of the image may have failed: nobody waits for this one.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (repository, session) = (self.repository.clone(), self.session.clone());
            runtime.spawn(async move { cancel(&repository, &session).await });
        }
    }
}

impl Repository {
    /// Opens an upload of a blob with this digest, if it is known already.
    pub(super) async fn start_upload(
        &self,
        digest: Option<&Digest>,
    ) -> Result<OpenUpload, RegistryError> {
        let mut url = self.uploads_url().await?;
        // distribution-spec "Pushing blobs": a registry takes an upload for one of SHA-256 if it is not told.
        match digest.map(Digest::algorithm) {
            None | Some(DigestAlgorithm::Sha256) => {}
            Some(other @ DigestAlgorithm::Sha512) => {
                url.query_pairs_mut()
                    .append_pair("digest-algorithm", other.name());
            }
        }
        let request = self.writing(Method::POST, url);
        let response = self
            .transport()
            .send_until(&request, &[StatusCode::ACCEPTED])
            .await?;
        Ok(OpenUpload::new(self, UploadSession::read(&response)?))
    }

    /// Returns where uploads begin. The slash at the end belongs to it.
    pub(super) async fn uploads_url(&self) -> Result<Url, RegistryError> {
        self.url(&["blobs", "uploads", ""]).await
    }
}

async fn cancel(repository: &Repository, session: &UploadSession) {
    let request = repository.writing(Method::DELETE, session.location.clone());
    if let Err(error) = repository.transport().send_for(&request, &WRITTEN).await {
        debug!("upload left behind: {error}");
    }
}
