//! A finished image as another tool hands it over: manifest, config and layers, byte for byte.

use super::registry::Registry;
use super::test_dir::TestDir;
use super::tool::Tool;
use super::tree::Tree;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// An image in skopeo's `dir` form.
pub(crate) struct Image {
    dir: TestDir,
    /// As served, for its digest.
    pub(crate) manifest_bytes: Vec<u8>,
    pub(crate) manifest: Value,
    pub(crate) config: Value,
    /// Base first.
    pub(crate) layers: Vec<Layer>,
}

/// A layer blob, and the diff ID that the config gives it.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) media_type: String,
    pub(crate) digest: String,
    pub(crate) diff_id: String,
    pub(crate) path: PathBuf,
}

impl Image {
    /// Pulls from a registry, by tag or digest.
    pub(crate) fn pull(registry: &Registry, name: &str) -> Self {
        let dir = TestDir::new();
        registry.pull(name, &dir.join("image"));
        Self::open(dir)
    }

    /// Reads an image as skopeo names it: `docker-archive:FILE`, `oci:DIR`.
    ///
    /// From a docker archive the layers come uncompressed, under a manifest that skopeo makes.
    pub(crate) fn copied_from(source: &str) -> Self {
        let dir = TestDir::new();
        let destination = format!("dir:{}", dir.join("image").display());
        Tool::new("skopeo")
            .args(["copy", "--quiet", source, &destination])
            .run();
        Self::open(dir)
    }

    /// Takes the one image out of an OCI layout, which is no layout afterwards.
    pub(crate) fn taken_from_layout(layout: &Path) -> Self {
        let dir = TestDir::new();
        let index = fs::read(layout.join("index.json")).expect("read the index");
        let index: Value = serde_json::from_slice(&index).expect("an index is JSON");
        let [manifest] = array(&index["manifests"]) else {
            panic!("one image was expected: {index}");
        };
        let blobs = dir.join("image");
        fs::rename(layout.join("blobs/sha256"), &blobs).expect("take the blobs");
        let manifest = blobs.join(hex_of(text(&manifest["digest"])));
        fs::rename(manifest, blobs.join("manifest.json")).expect("name the manifest");
        Self::open(dir)
    }

    fn open(dir: TestDir) -> Self {
        let blobs = dir.join("image");
        let manifest_bytes = fs::read(blobs.join("manifest.json")).expect("read the manifest");
        let manifest: Value = serde_json::from_slice(&manifest_bytes).expect("a manifest is JSON");
        let config_file = blobs.join(hex_of(text(&manifest["config"]["digest"])));
        let config: Value =
            serde_json::from_slice(&fs::read(config_file).expect("read the config"))
                .expect("a config is JSON");
        let descriptors = array(&manifest["layers"]);
        let diff_ids = array(&config["rootfs"]["diff_ids"]);
        assert_eq!(
            descriptors.len(),
            diff_ids.len(),
            "as many layers as diff IDs"
        );
        let layers = descriptors
            .iter()
            .zip(diff_ids)
            .map(|(descriptor, diff_id)| Layer {
                media_type: text(&descriptor["mediaType"]).to_owned(),
                digest: text(&descriptor["digest"]).to_owned(),
                diff_id: text(diff_id).to_owned(),
                path: blobs.join(hex_of(text(&descriptor["digest"]))),
            });
        let layers = layers.collect();
        Self {
            dir,
            manifest_bytes,
            manifest,
            config,
            layers,
        }
    }

    /// The directory in skopeo's `dir` form.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.join("image")
    }

    /// The manifest's digest.
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", sha256(&self.manifest_bytes))
    }

    pub(crate) fn diff_ids(&self) -> Vec<String> {
        self.layers
            .iter()
            .map(|layer| layer.diff_id.clone())
            .collect()
    }

    /// A field of the config's `config` object; null where there is none.
    pub(crate) fn setting(&self, field: &str) -> &Value {
        &self.config["config"][field]
    }

    /// `created_by` of each history entry, in order.
    pub(crate) fn history(&self) -> Vec<&str> {
        array(&self.config["history"])
            .iter()
            .map(|entry| entry["created_by"].as_str().unwrap_or_default())
            .collect()
    }

    /// The files that the image has, all layers applied.
    pub(crate) fn tree(&self) -> Tree {
        Tree::of_layers(&self.layers)
    }
}

impl Layer {
    /// The uncompressed tar, read as the bytes say it is stored; the oracle holds the media type against them.
    pub(crate) fn open(&self) -> Box<dyn Read> {
        let file = BufReader::with_capacity(1 << 16, File::open(&self.path).expect("open a layer"));
        match first_bytes(&self.path) {
            [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(
                1 << 16,
                flate2::bufread::MultiGzDecoder::new(file),
            )),
            [0x28, 0xb5, 0x2f, 0xfd] => Box::new(BufReader::with_capacity(
                1 << 16,
                zstd::Decoder::with_buffer(file).expect("start a zstd stream"),
            )),
            _ => Box::new(file),
        }
    }

    /// What the stored bytes begin as: the end of the media type that is right for them.
    pub(crate) fn stored_as(&self) -> &'static str {
        match first_bytes(&self.path) {
            [0x1f, 0x8b, ..] => "gzip",
            [0x28, 0xb5, 0x2f, 0xfd] => "zstd",
            _ => "tar",
        }
    }
}

fn first_bytes(path: &Path) -> [u8; 4] {
    let mut bytes = [0; 4];
    // An archive is longer than this; a shorter file is left with zeroes, which match no encoding.
    let _ = File::open(path)
        .expect("open a blob")
        .read_exact(&mut bytes);
    bytes
}

/// SHA-256 of bytes, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 in hex, and the length, of all that is left to read.
pub(crate) fn sha256_of_reader(mut reader: impl Read) -> (String, u64) {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let read = reader.read(&mut chunk).expect("read to the end");
        if read == 0 {
            return (hex(&hasher.finalize()), length);
        }
        hasher.update(&chunk[..read]);
        length += read as u64;
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hex part of `sha256:HEX`.
pub(crate) fn hex_of(digest: &str) -> &str {
    digest
        .strip_prefix("sha256:")
        .unwrap_or_else(|| panic!("not a SHA-256 digest: {digest:?}"))
}

/// A JSON string; anything else fails the test.
pub(crate) fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a string was expected: {value}"))
}

/// A JSON array; none is empty.
pub(crate) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
