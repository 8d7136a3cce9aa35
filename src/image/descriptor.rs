//! A descriptor points at content: what it is, its digest, its size. This module must not fetch what it points at.
//!
//! The types of this room are ours and not oci-spec's because those keep annotations in a hash map:
//! written twice, the same manifest would have two digests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::go_json::null_is_default;
use super::media_type::{ImageFormat, MediaType};
use super::platform::Platform;

/// A pointer from a manifest or index to a blob or manifest (image-spec, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the content is.
    pub media_type: MediaType,
    /// The digest of the content as stored.
    pub digest: Digest,
    /// The size of the content as stored, in bytes.
    pub size: u64,
    /// Where foreign layers are to be had. Empty for everything else.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub urls: Vec<String>,
    /// Free words about the content, sorted by key.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
    /// The content itself in base 64, if the writer chose to embed it. Never trusted, only kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// The machine that a manifest in an index is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact a manifest in an index is. `None` for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// Points at content with nothing said about it but the three required facts.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// Points at `bytes` as they are.
    pub fn of(media_type: MediaType, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Returns the same pointer under the other family's media type.
    pub fn relabelled(&self, format: ImageFormat) -> Self {
        Self {
            media_type: self.media_type.relabelled(format),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_lists_read_as_empty_and_unset_fields_are_not_written() {
        let digest = Digest::of(b"x");
        let text = format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":1,"urls":null,"annotations":null}}"#
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        let written = serde_json::to_string(&descriptor).unwrap();
        assert_eq!(
            written,
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{digest}","size":1}}"#
            )
        );
    }

    #[test]
    fn a_negative_size_or_a_path_for_a_digest_is_refused() {
        for text in [
            format!(
                r#"{{"mediaType":"a/b","digest":"{}","size":-1}}"#,
                Digest::of(b"")
            ),
            r#"{"mediaType":"a/b","digest":"../blah:attack","size":1}"#.to_owned(),
        ] {
            assert!(serde_json::from_str::<Descriptor>(&text).is_err());
        }
    }
}
