//! The tar file of `docker save`: one image that `docker load` and others read without a registry.
//! This module knows the file, not who asked for it.
//!
//! Names and order are those that kaniko writes (go-containerregistry, `pkg/v1/tarball/write.go`): the
//! config under its digest, each layer once as its stored bytes, `manifest.json` last. The same image
//! gives the same bytes.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use super::digest::Digest;
use super::media_type::LayerCompression;
use super::tar_stream::{TarStream, TarStreamError};

/// An image to write.
#[derive(Debug, Clone, Copy)]
pub struct ArchivedImage<'a> {
    /// The config's JSON.
    pub config: &'a [u8],
    /// The layers, base first. May be empty, and one may come twice.
    pub layers: &'a [ArchivedLayer],
    /// Names that the image gets where it is loaded, each with a tag. Empty for none.
    pub tags: &'a [String],
}

/// A layer to write.
#[derive(Debug, Clone)]
pub struct ArchivedLayer {
    /// Digest of the stored bytes.
    pub digest: Digest,
    /// How they are compressed.
    pub compression: LayerCompression,
    /// The file that has them.
    pub file: PathBuf,
}

/// Why the tar file was not written.
#[derive(Debug, Error)]
pub enum DockerArchiveError {
    /// The tar could not be written.
    #[error(transparent)]
    Tar(#[from] TarStreamError),
    /// The list of images cannot be written.
    #[error("cannot write `manifest.json`")]
    Manifest(#[source] serde_json::Error),
}

/// One element of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Item<'a> {
    config: &'a str,
    /// `null` for none, as Go writes an empty list.
    #[serde(serialize_with = "null_when_empty")]
    repo_tags: &'a [String],
    layers: Vec<String>,
}

/// Writes the image as a stream. No layer is held in memory.
pub fn write(writer: &mut impl Write, image: &ArchivedImage<'_>) -> Result<(), DockerArchiveError> {
    let mut tar = TarStream::new(writer);
    let config_name = Digest::of(image.config);
    tar.append_bytes(config_name.as_str(), image.config)?;
    let mut seen = BTreeSet::new();
    for layer in image.layers {
        if seen.insert(&layer.digest) {
            tar.append_file(&layer_name(layer), &layer.file)?;
        }
    }
    let item = Item {
        config: config_name.as_str(),
        repo_tags: image.tags,
        layers: image.layers.iter().map(layer_name).collect(),
    };
    let manifest = serde_json::to_vec(&[item]).map_err(DockerArchiveError::Manifest)?;
    tar.append_bytes("manifest.json", &manifest)?;
    Ok(tar.finish()?)
}

fn layer_name(layer: &ArchivedLayer) -> String {
    let extension = match layer.compression {
        LayerCompression::None => "tar",
        LayerCompression::Gzip => "tar.gz",
        LayerCompression::Zstd => "tar.zst",
    };
    format!("{}.{extension}", layer.digest.hex())
}

fn null_when_empty<S: serde::Serializer>(
    tags: &&[String],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if tags.is_empty() {
        serializer.serialize_none()
    } else {
        tags.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::image::archive::ArchiveReader;

    fn layer(dir: &Path, contents: &str, compression: LayerCompression) -> ArchivedLayer {
        let digest = Digest::of(contents.as_bytes());
        let file = dir.join(digest.hex());
        std::fs::write(&file, contents).unwrap();
        ArchivedLayer {
            digest,
            compression,
            file,
        }
    }

    fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut reader = ArchiveReader::new(bytes);
        let mut entries = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            assert_eq!((entry.mode, entry.uid, entry.mtime.seconds), (0o644, 0, 0));
            let mut contents = Vec::new();
            loop {
                let piece = reader.contents().unwrap();
                if piece.is_empty() {
                    break;
                }
                contents.extend_from_slice(piece);
                let count = piece.len();
                reader.consume(count);
            }
            entries.push((String::from_utf8(entry.name).unwrap(), contents));
        }
        entries
    }

    #[test]
    fn config_layers_and_list_come_in_order_and_each_layer_once() {
        let temp = tempfile::tempdir().unwrap();
        let gzip = layer(temp.path(), "gzip", LayerCompression::Gzip);
        let plain = layer(temp.path(), &"x".repeat(1000), LayerCompression::None);
        let layers = [gzip.clone(), plain.clone(), gzip.clone()];
        let tags = ["registry.example/app:1".to_owned(), "app:2".to_owned()];
        let image = ArchivedImage {
            config: b"{}",
            layers: &layers,
            tags: &tags,
        };
        let mut bytes = Vec::new();
        write(&mut bytes, &image).unwrap();
        let config = Digest::of(b"{}");
        let gzip_name = format!("{}.tar.gz", gzip.digest.hex());
        let plain_name = format!("{}.tar", plain.digest.hex());
        let manifest = format!(
            r#"[{{"Config":"{config}","RepoTags":["registry.example/app:1","app:2"],"Layers":["{gzip_name}","{plain_name}","{gzip_name}"]}}]"#
        );
        let expected = [
            (config.to_string(), b"{}".to_vec()),
            (gzip_name, b"gzip".to_vec()),
            (plain_name, vec![b'x'; 1000]),
            ("manifest.json".to_owned(), manifest.into_bytes()),
        ];
        assert_eq!(entries(&bytes), expected);
        assert_eq!(bytes.len() % 512, 0);
    }
}
