//! Why a layout was not read or written.

use std::path::PathBuf;

use thiserror::Error;

use super::LAYOUT_VERSION;
use crate::fs::PathError;
use crate::image::manifest::ManifestError;

/// Why a layout was not read or written.
#[derive(Debug, Error)]
pub enum LayoutError {
    /// A file operation failed.
    #[error(transparent)]
    File(#[from] PathError),
    /// The directory is no layout, or one of a version that does not exist yet.
    #[error("`{}` is not an OCI image layout of version {LAYOUT_VERSION}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
    },
    /// A manifest or index cannot be read or written.
    #[error("cannot use `{}`", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ManifestError,
    },
    /// The file that should be an index is a manifest.
    #[error("`{}` is not an image index", path.display())]
    NotAnIndex {
        /// The file.
        path: PathBuf,
    },
    /// A blob's bytes are not those of its name.
    #[error("`{}` does not have the digest of its name", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The index lists no image of that name.
    #[error("`{}` has no image called `{tag}`{}", path.display(), only(.names))]
    NoSuchImage {
        /// The layout.
        path: PathBuf,
        /// What was asked for.
        tag: String,
        /// What it has. Images without a name are not among them.
        names: Vec<String>,
    },
}

fn only(names: &[String]) -> String {
    if names.is_empty() {
        return String::new();
    }
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!(", only {}", names.join(", "))
}
