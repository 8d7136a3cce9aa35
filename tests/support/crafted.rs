//! Images put together byte by byte: every encoding and media type, whiteouts, indices, and layers meant to do harm.

use super::base_image;
use super::image::sha256;
use super::registry::Registry;
use super::test_dir::TestDir;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::Path;
use tar::{EntryType, Header};

/// When every entry of a crafted layer was last changed: 2001-09-09T01:46:40Z.
pub(crate) const MTIME: u64 = 1_000_000_000;

/// Whose media types an image has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Docker,
    Oci,
}

/// How a layer's tar is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

/// Bytes of a header's field for a name.
const NAME_ROOM: usize = 100;

/// A layer's tar, entry by entry, with names exactly as given: no check stands between a test and a hostile name.
pub(crate) struct LayerTar {
    builder: tar::Builder<Vec<u8>>,
}

impl LayerTar {
    pub(crate) fn new() -> Self {
        Self {
            builder: tar::Builder::new(Vec::new()),
        }
    }

    pub(crate) fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, path, "", mode, b"")
    }

    pub(crate) fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Self {
        self.entry(EntryType::Regular, path, "", 0o644, contents.as_ref())
    }

    /// The machine's static busybox, with `sh` as a link to it: enough for a RUN.
    pub(crate) fn shell(self) -> Self {
        let busybox = std::fs::read(base_image::busybox()).expect("read busybox");
        let bin =
            self.dir("bin/", 0o755)
                .entry(EntryType::Regular, "bin/busybox", "", 0o755, &busybox);
        bin.symlink("bin/sh", "busybox")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, 0o777, b"")
    }

    pub(crate) fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, 0o644, b"")
    }

    pub(crate) fn fifo(self, path: &str) -> Self {
        self.entry(EntryType::Fifo, path, "", 0o644, b"")
    }

    /// A character device like `/dev/null`.
    pub(crate) fn null_device(self, path: &str) -> Self {
        self.entry(EntryType::Char, path, "", 0o666, b"")
    }

    /// Deletes `path` of the layers below.
    pub(crate) fn whiteout(self, path: &str) -> Self {
        let (parent, name) = path
            .rsplit_once('/')
            .map_or(("", path), |(parent, name)| (parent, name));
        let slash = if parent.is_empty() { "" } else { "/" };
        self.file(&format!("{parent}{slash}.wh.{name}"), "")
    }

    /// Hides what the layers below have in the directory.
    pub(crate) fn opaque(self, dir: &str) -> Self {
        self.file(&format!("{dir}/.wh..wh..opq"), "")
    }

    /// A file with extended attributes, owner and mode of its own.
    pub(crate) fn file_with(
        mut self,
        path: &str,
        contents: &str,
        mode: u32,
        owner: u64,
        xattrs: &[(&str, &[u8])],
    ) -> Self {
        let records = xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), *value))
            .collect::<Vec<_>>();
        let records = records.iter().map(|(key, value)| (key.as_str(), *value));
        self.builder
            .append_pax_extensions(records)
            .expect("write to memory");
        let mut header = header(EntryType::Regular, path, "", mode, contents.len());
        header.set_uid(owner);
        header.set_gid(owner);
        self.append(header, contents.as_bytes())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.builder.into_inner().expect("write to memory")
    }

    fn entry(self, kind: EntryType, path: &str, target: &str, mode: u32, contents: &[u8]) -> Self {
        let header = header(kind, path, target, mode, contents.len());
        self.long_names(path, target).append(header, contents)
    }

    /// The record of each name that a header has no room for.
    fn long_names(mut self, path: &str, target: &str) -> Self {
        let names = [("path", path), ("linkpath", target)];
        let long = names.into_iter().filter(|(_, name)| name.len() > NAME_ROOM);
        let records: Vec<_> = long.map(|(key, name)| (key, name.as_bytes())).collect();
        self.builder
            .append_pax_extensions(records)
            .expect("write to memory");
        self
    }

    fn append(mut self, mut header: Header, contents: &[u8]) -> Self {
        header.set_cksum();
        self.builder
            .append(&header, contents)
            .expect("write to memory");
        self
    }
}

fn header(kind: EntryType, path: &str, target: &str, mode: u32, size: usize) -> Header {
    let mut header = Header::new_ustar();
    // Written into the fields, as the crate's setters refuse what a hostile archive has.
    let fields = header.as_ustar_mut().expect("a ustar header");
    for (field, name) in [(&mut fields.name, path), (&mut fields.linkname, target)] {
        let room = name.len().min(NAME_ROOM);
        field[..room].copy_from_slice(&name.as_bytes()[..room]);
    }
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(MTIME);
    header.set_size(size as u64);
    let number = if kind == EntryType::Char {
        (1, 3)
    } else {
        (0, 0)
    };
    header.set_device_major(number.0).expect("a ustar header");
    header.set_device_minor(number.1).expect("a ustar header");
    header
}

/// An image of crafted layers.
pub(crate) struct CraftedImage {
    family: Family,
    architecture: String,
    container_config: Value,
    /// Fields beside `config`, as they come into the config's JSON.
    fields: Vec<(String, Value)>,
    layers: Vec<(Vec<u8>, Encoding)>,
}

impl CraftedImage {
    /// For linux on the architecture that the tests run on, without layers.
    pub(crate) fn new(family: Family) -> Self {
        let architecture = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let container_config = json!({ "Env": [path], "Cmd": ["/bin/sh"] });
        Self {
            family,
            architecture: architecture.to_owned(),
            container_config,
            fields: Vec::new(),
            layers: Vec::new(),
        }
    }

    pub(crate) fn architecture(mut self, architecture: &str) -> Self {
        self.architecture = architecture.to_owned();
        self
    }

    /// Sets a field of the config's `config` object, such as `OnBuild`.
    pub(crate) fn config(mut self, field: &str, value: Value) -> Self {
        self.container_config[field] = value;
        self
    }

    /// Sets a field beside the config's `config` object, known or not.
    pub(crate) fn field(mut self, field: &str, value: Value) -> Self {
        self.fields.push((field.to_owned(), value));
        self
    }

    pub(crate) fn layer(self, tar: LayerTar, encoding: Encoding) -> Self {
        self.layer_of_bytes(tar.finish(), encoding)
    }

    /// A layer of anything, a tar or not.
    pub(crate) fn layer_of_bytes(mut self, bytes: Vec<u8>, encoding: Encoding) -> Self {
        self.layers.push((bytes, encoding));
        self
    }

    pub(crate) fn push_to(&self, registry: &Registry, name: &str) {
        let dir = TestDir::new();
        let manifest = self.write_blobs(dir.path());
        push_dir(registry, dir.path(), &manifest, name);
    }

    /// Writes config and layers as skopeo's `dir` form has them, and returns the manifest.
    fn write_blobs(&self, dir: &Path) -> Value {
        let mut diff_ids = Vec::new();
        let mut layers = Vec::new();
        for (tar, encoding) in &self.layers {
            diff_ids.push(format!("sha256:{}", sha256(tar)));
            layers.push(write_blob(
                dir,
                &self.layer_media_type(*encoding),
                &encode(tar, *encoding),
            ));
        }
        let history: Vec<Value> = diff_ids
            .iter()
            .map(|_| json!({ "created_by": "crafted" }))
            .collect();
        let mut config = json!({
            "architecture": self.architecture,
            "os": "linux",
            "config": self.container_config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        });
        for (field, value) in &self.fields {
            config[field] = value.clone();
        }
        let (manifest_type, config_type) = match self.family {
            Family::Docker => (
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.container.image.v1+json",
            ),
            Family::Oci => (
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.oci.image.config.v1+json",
            ),
        };
        let config = write_blob(dir, config_type, config.to_string().as_bytes());
        json!({ "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers })
    }

    fn layer_media_type(&self, encoding: Encoding) -> String {
        let (start, gzip, zstd) = match self.family {
            Family::Docker => (
                "application/vnd.docker.image.rootfs.diff.tar",
                ".gzip",
                ".zstd",
            ),
            Family::Oci => ("application/vnd.oci.image.layer.v1.tar", "+gzip", "+zstd"),
        };
        let end = match encoding {
            Encoding::Plain => "",
            Encoding::Gzip => gzip,
            Encoding::Zstd => zstd,
        };
        format!("{start}{end}")
    }
}

/// Pushes an index of several images, one per platform.
pub(crate) fn push_index(registry: &Registry, images: &[CraftedImage], name: &str) {
    let dir = TestDir::new();
    let mut manifests = Vec::new();
    for image in images {
        let manifest = image.write_blobs(dir.path()).to_string();
        let hex = sha256(manifest.as_bytes());
        fs::write(dir.join(format!("{hex}.manifest.json")), &manifest).expect("write a manifest");
        manifests.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": format!("sha256:{hex}"),
            "size": manifest.len(),
            "platform": { "os": "linux", "architecture": image.architecture },
        }));
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    push_dir(registry, dir.path(), &index, name);
}

fn push_dir(registry: &Registry, dir: &Path, manifest: &Value, name: &str) {
    fs::write(dir.join("manifest.json"), manifest.to_string()).expect("write the manifest");
    fs::write(dir.join("version"), "Directory Transport Version: 1.1\n")
        .expect("write the version");
    registry.push(&format!("dir:{}", dir.display()), name);
}

/// Writes a blob under its digest and returns its descriptor.
fn write_blob(dir: &Path, media_type: &str, bytes: &[u8]) -> Value {
    let hex = sha256(bytes);
    fs::write(dir.join(&hex), bytes).expect("write a blob");
    json!({ "mediaType": media_type, "digest": format!("sha256:{hex}"), "size": bytes.len() })
}

/// Stores a tar as the encoding says.
pub(crate) fn encode(tar: &[u8], encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Plain => tar.to_vec(),
        Encoding::Gzip => {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(tar).expect("write to memory");
            encoder.finish().expect("write to memory")
        }
        Encoding::Zstd => zstd::encode_all(tar, 3).expect("write to memory"),
    }
}
