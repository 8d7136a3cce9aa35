//! The tar file of `docker save`: one image that `docker load` and others read without a registry.
//! This module knows the file, not who asked for it.
//!
//! Names and order are those that kaniko writes (go-containerregistry, `pkg/v1/tarball/write.go`): the
//! config under its digest, each layer once as its stored bytes, `manifest.json` last. The same image
//! gives the same bytes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tar::Header;
use thiserror::Error;

use super::digest::Digest;
use super::media_type::LayerCompression;
use crate::fs::{PathContext, PathError, replace_file};

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
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// The tar could not be written to where it goes.
    #[error("cannot write the image's tar")]
    Write(#[source] io::Error),
    /// A layer's file was cut off or grew while it was read.
    #[error("`{}` changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
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

/// Writes the image to `path`. A file appears whole or not at all; into a pipe or device that is there
/// already, the bytes go as they come.
pub fn create(path: &Path, image: &ArchivedImage<'_>) -> Result<(), DockerArchiveError> {
    let is_stream = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    if is_stream {
        let options = File::options().write(true).open(path);
        return write(&mut options.on("open", path)?, image);
    }
    let mut result = Ok(());
    let replaced = replace_file(path, |file| {
        result = write(&mut io::BufWriter::new(file), image);
        match &result {
            Ok(()) => Ok(()),
            Err(_) => Err(io::Error::other("not written")),
        }
    });
    result?;
    Ok(replaced?)
}

/// Writes the image as a stream. No layer is held in memory.
pub fn write(writer: &mut impl Write, image: &ArchivedImage<'_>) -> Result<(), DockerArchiveError> {
    let config_name = Digest::of(image.config);
    append_bytes(writer, config_name.as_str(), image.config)?;
    let mut seen = BTreeSet::new();
    for layer in image.layers {
        if seen.insert(&layer.digest) {
            append_file(writer, &layer_name(layer), &layer.file)?;
        }
    }
    let item = Item {
        config: config_name.as_str(),
        repo_tags: image.tags,
        layers: image.layers.iter().map(layer_name).collect(),
    };
    let manifest = serde_json::to_vec(&[item]).map_err(DockerArchiveError::Manifest)?;
    append_bytes(writer, "manifest.json", &manifest)?;
    let end = [0; 1024];
    writer.write_all(&end).map_err(DockerArchiveError::Write)?;
    writer.flush().map_err(DockerArchiveError::Write)
}

fn layer_name(layer: &ArchivedLayer) -> String {
    let extension = match layer.compression {
        LayerCompression::None => "tar",
        LayerCompression::Gzip => "tar.gz",
        LayerCompression::Zstd => "tar.zst",
    };
    format!("{}.{extension}", layer.digest.hex())
}

fn append_bytes(
    writer: &mut impl Write,
    name: &str,
    bytes: &[u8],
) -> Result<(), DockerArchiveError> {
    let size = bytes.len() as u64;
    let mut append = || {
        write_header(writer, name, size)?;
        writer.write_all(bytes)?;
        write_padding(writer, size)
    };
    append().map_err(DockerArchiveError::Write)
}

fn append_file(writer: &mut impl Write, name: &str, path: &Path) -> Result<(), DockerArchiveError> {
    let mut file = File::open(path).on("open", path)?;
    let size = file.metadata().on("stat", path)?.len();
    write_header(writer, name, size).map_err(DockerArchiveError::Write)?;
    let copied = copy_at_most(&mut file, writer, size, path)?;
    if copied != size {
        let path = path.to_path_buf();
        return Err(DockerArchiveError::Changed { path });
    }
    write_padding(writer, size).map_err(DockerArchiveError::Write)
}

/// Copies up to `size` bytes, telling an error of the file from one of the writer.
fn copy_at_most(
    file: &mut File,
    writer: &mut impl Write,
    size: u64,
    path: &Path,
) -> Result<u64, DockerArchiveError> {
    let mut buffer = vec![0; COPY_BUFFER_BYTES];
    let mut copied = 0;
    while copied < size {
        let wanted = buffer
            .len()
            .min(usize::try_from(size - copied).unwrap_or(usize::MAX));
        let count = io::Read::read(file, &mut buffer[..wanted]).on("read", path)?;
        if count == 0 {
            break;
        }
        writer
            .write_all(&buffer[..count])
            .map_err(DockerArchiveError::Write)?;
        copied += count as u64;
    }
    Ok(copied)
}

/// Bytes copied at a time: larger gains nothing beside the system calls themselves.
const COPY_BUFFER_BYTES: usize = 256 * 1024;

fn write_header(writer: &mut impl Write, name: &str, size: u64) -> io::Result<()> {
    // GNU's header holds sizes from 8 GiB up, which those of POSIX do not.
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    writer.write_all(header.as_bytes())
}

fn write_padding(writer: &mut impl Write, size: u64) -> io::Result<()> {
    let zeros = [0; 512];
    let length = size.next_multiple_of(512) - size;
    writer.write_all(&zeros[..length as usize])
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

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let temp = tempfile::tempdir().unwrap();
        let out = temp.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let path = out.join("image.tar");
        let mut missing = layer(temp.path(), "layer", LayerCompression::Gzip);
        missing.file = temp.path().join("missing");
        let image = |layers| ArchivedImage {
            config: b"{}",
            layers,
            tags: &[],
        };
        let layers = [missing];
        let error = create(&path, &image(&layers)).unwrap_err();
        assert!(error.to_string().contains("missing"), "{error}");
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0);

        create(&path, &image(&[])).unwrap();
        let written = std::fs::read(&path).unwrap();
        let list = &entries(&written)[1].1;
        assert!(list.ends_with(br#""RepoTags":null,"Layers":[]}]"#));
        create(&path, &image(&[])).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), written);
    }

    #[test]
    fn a_device_that_is_there_gets_the_bytes_and_stays() {
        let image = ArchivedImage {
            config: b"{}",
            layers: &[],
            tags: &[],
        };
        create(Path::new("/dev/null"), &image).unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }
}
