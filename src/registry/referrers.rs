//! Manifests that are about another one: signatures, attestations. Found with the registry's own list where it keeps one,
//! with an index under a tag where it does not, and then that index is ours to keep (distribution-spec "Listing
//! Referrers" and "Referrers Tag Schema"). This module must not know what is said about an image.

use bytes::Bytes;
use reqwest::header::{HeaderName, LINK};
use reqwest::{Method, StatusCode};
use tracing::debug;
use url::Url;

use super::client::Repository;
use super::error::{Call, RegistryError};
use super::request::Request;
use super::response::Response;
use crate::image::manifest::{MAX_MANIFEST_BYTES, ManifestDocument, ManifestError};
use crate::image::{Descriptor, Digest, ImageFormat, Index, MediaType};

/// A registry that keeps the list by itself says with this header that it has noted the subject.
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");

/// distribution-spec "Referrers Tag Schema": no part of the tag is longer.
const TAG_ALGORITHM_CHARS: usize = 32;
const TAG_DIGEST_CHARS: usize = 64;

/// Pages of a list that are read: a registry that always has another one is not followed for ever.
const MAX_PAGES: usize = 1000;

impl Repository {
    /// Returns what there is about a manifest, in the registry's order. Empty if nothing is, and also if the manifest is not
    /// there.
    pub async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        match self.listed_referrers(subject).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                debug!("no list of referrers, looking for a tag: {error}");
                let index = self.tagged_referrers(&referrers_tag(subject)).await?;
                Ok(index.map(|index| index.manifests).unwrap_or_default())
            }
            listed => listed,
        }
    }

    /// Does what is left to do after a manifest was written: where it is about another one and the registry does not say
    /// that it has noted that, the index under the subject's tag gets an entry. Two clients that do this for one subject at
    /// the same moment may lose an entry of each other: the specification has no lock.
    pub(super) async fn note_referrer(
        &self,
        answer: &Response,
        media_type: &MediaType,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        if answer.header(&OCI_SUBJECT).is_some() {
            return Ok(());
        }
        let Some((subject, referrer)) = referrer(media_type, bytes) else {
            return Ok(());
        };
        let tag = referrers_tag(&subject);
        let mut index = match self.tagged_referrers(&tag).await? {
            Some(index) => index,
            None => Index::new(ImageFormat::Oci, Vec::new()),
        };
        if index
            .manifests
            .iter()
            .any(|listed| listed.digest == referrer.digest)
        {
            return Ok(());
        }
        index.manifests.push(referrer);
        let media_type = MediaType::Index(ImageFormat::Oci);
        index.media_type = Some(media_type.clone());
        let bytes = index.to_json().map_err(|source| self.unwritable(source))?;
        let bytes = Bytes::from(bytes);
        // An index of referrers has no subject itself: this ends here.
        let putting = Box::pin(self.put_manifest(&tag, &media_type, &bytes));
        putting.await.map(|_| ())
    }

    async fn listed_referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let mut found = Vec::new();
        let mut next = Some(self.url(&["referrers", subject.as_str()]).await?);
        for _ in 0..MAX_PAGES {
            let Some(url) = next else {
                return Ok(found);
            };
            let request = self.reading(Method::GET, url);
            let response = self
                .transport()
                .send_until(&request, &[StatusCode::OK])
                .await?;
            next = next_page(&response)?;
            let bytes = response.body(MAX_MANIFEST_BYTES as u64).await?;
            found.extend(read_index(&request, &bytes)?.manifests);
        }
        Ok(found)
    }

    /// Returns the index under the tag. `None` if there is no such tag. Something else under it is an error: it is not ours
    /// to replace.
    async fn tagged_referrers(&self, tag: &str) -> Result<Option<Index>, RegistryError> {
        let fetched = match self.fetch_manifest(tag).await {
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => return Ok(None),
            fetched => fetched?,
        };
        match fetched.document {
            ManifestDocument::Index(index) => Ok(Some(*index)),
            ManifestDocument::Image(_) => Err(self.unwritable(ManifestError::TypeMismatch {
                document: fetched.descriptor.media_type.to_string(),
                declared: MediaType::Index(ImageFormat::Oci).to_string(),
            })),
        }
    }

    fn unwritable(&self, source: ManifestError) -> RegistryError {
        RegistryError::Referrers {
            repository: format!("{}/{}", self.registry().host(), self.name()),
            source,
        }
    }
}

fn read_index(request: &Request, bytes: &[u8]) -> Result<Index, RegistryError> {
    let index = MediaType::Index(ImageFormat::Oci);
    match ManifestDocument::parse(bytes, Some(&index)) {
        Ok(ManifestDocument::Index(index)) => Ok(*index),
        Ok(ManifestDocument::Image(_)) => unreachable!("it was read as an index"),
        Err(source) => Err(RegistryError::Manifest {
            call: Box::new(Call::new(&request.method, &request.url)),
            source,
        }),
    }
}

/// Returns where the list goes on (RFC 8288): `<URL>; rel="next"`, on the same server, or not at all.
fn next_page(response: &Response) -> Result<Option<Url>, RegistryError> {
    let links = response.headers().get_all(LINK).iter();
    let mut links = links
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(", <"));
    let is_next = |link: &&str| link.contains("rel=\"next\"") || link.contains("rel=next");
    let Some(link) = links.find(is_next) else {
        return Ok(None);
    };
    let target = link.trim_start_matches([' ', '<']).split('>').next();
    let target = response.resolve(target.unwrap_or_default());
    match target {
        Some(target) => Ok(Some(target)),
        None => Err(response.protocol_error("its `Link` leads elsewhere")),
    }
}

/// Returns the subject of a manifest and the entry for the manifest in the subject's list. `None` if it has no subject.
fn referrer(media_type: &MediaType, bytes: &[u8]) -> Option<(Digest, Descriptor)> {
    let document = ManifestDocument::parse(bytes, Some(media_type)).ok()?;
    let (subject, artifact_type, annotations) = match document {
        ManifestDocument::Image(manifest) => {
            let of_config = manifest.config.media_type.to_string();
            let own = manifest.artifact_type.filter(|text| !text.is_empty());
            let artifact_type = Some(own.unwrap_or(of_config));
            (manifest.subject?, artifact_type, manifest.annotations)
        }
        ManifestDocument::Index(index) => (index.subject?, index.artifact_type, index.annotations),
    };
    let listed = Descriptor {
        artifact_type,
        annotations,
        ..Descriptor::of(media_type.clone(), bytes)
    };
    Some((subject.digest, listed))
}

/// Returns the tag under which the index for a subject lies.
fn referrers_tag(subject: &Digest) -> String {
    let (algorithm, hex) = subject.as_str().split_once(':').unwrap_or_default();
    let algorithm = &algorithm[..algorithm.len().min(TAG_ALGORITHM_CHARS)];
    format!("{algorithm}-{}", &hex[..hex.len().min(TAG_DIGEST_CHARS)])
}

#[cfg(test)]
mod tests;
