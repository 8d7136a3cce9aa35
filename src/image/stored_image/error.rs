//! Why images that lie in files cannot be read.

use std::path::PathBuf;

use thiserror::Error;

use super::super::digest::Digest;
use super::super::layout::LayoutError;
use super::super::manifest::{ManifestError, NoMatchingPlatform};
use crate::fs::PathError;

/// Why a stored image cannot be had.
#[derive(Debug, Error)]
pub enum StoredImageError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// The layout is none, or what is asked for is not in it.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Neither of the forms that are read.
    #[error(
        "`{}` is neither an OCI image layout, nor a tar of one, nor a tar of `docker save`",
        path.display()
    )]
    NoImages {
        /// The file or directory.
        path: PathBuf,
    },
    /// Blobs of a compressed tar have no place that one could go to.
    #[error("`{}` is compressed: decompress it ({compression}) first", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// How.
        compression: &'static str,
    },
    /// The tar cannot be read.
    #[error("cannot read the tar `{}`", path.display())]
    Tar {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// More entries than any image has.
    #[error("`{}` has more than {limit} entries", path.display())]
    TooManyEntries {
        /// The file.
        path: PathBuf,
        /// How many are read.
        limit: usize,
    },
    /// `docker save`'s list of images.
    #[error("cannot read `manifest.json` of `{}`", path.display())]
    List {
        /// The tar.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The list names a file that the tar does not have.
    #[error("`{}` lists `{name}` and does not have it", path.display())]
    NoSuchEntry {
        /// The tar.
        path: PathBuf,
        /// What it lists.
        name: String,
    },
    /// Nothing that is listed has the digest.
    #[error("`{}` does not list `{digest}`", path.display())]
    NotListed {
        /// The file or directory.
        path: PathBuf,
        /// What was asked for.
        digest: Digest,
    },
    /// A blob is not there.
    #[error("`{}` does not have the blob `{digest}`", path.display())]
    Missing {
        /// The file or directory.
        path: PathBuf,
        /// The blob.
        digest: Digest,
    },
    /// A blob's bytes are not those of its digest, or not as many as there should be.
    #[error("the blob `{digest}` in `{}` is damaged", path.display())]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// The blob.
        digest: Digest,
    },
    /// A document that is larger than any honest one.
    #[error("the blob `{digest}` in `{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file or directory.
        path: PathBuf,
        /// The blob.
        digest: Digest,
        /// How many bytes are read.
        limit: usize,
    },
    /// A manifest or index cannot be read, or written.
    #[error("cannot use the manifest `{digest}` of `{}`", path.display())]
    Manifest {
        /// The file or directory.
        path: PathBuf,
        /// The manifest.
        digest: Digest,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// The index has no image for the platform.
    #[error("cannot choose an image of `{}`", path.display())]
    Platform {
        /// The file or directory.
        path: PathBuf,
        /// What it has.
        #[source]
        source: NoMatchingPlatform,
    },
    /// An index in an index.
    #[error("the index `{digest}` of `{}` lists another index", path.display())]
    NestedIndex {
        /// The file or directory.
        path: PathBuf,
        /// The outer one.
        digest: Digest,
    },
}
