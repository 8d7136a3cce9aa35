//! Where a finished image goes.

use std::path::PathBuf;

use crate::image::Reference;

/// Everywhere that a finished image is delivered to. Paths are absolute.
#[derive(Debug, Clone, Default)]
pub struct DeliveryOptions {
    /// References to push to, or to name in files and archives where nothing is pushed.
    pub destinations: Vec<Reference>,
    /// Whether the destinations are pushed to.
    pub push: bool,
    /// File for a `docker save` archive.
    pub tar_path: Option<PathBuf>,
    /// Directory for an OCI image layout.
    pub oci_layout_path: Option<PathBuf>,
    /// File for the manifest's digest.
    pub digest_file: Option<PathBuf>,
    /// File for `REPOSITORY@DIGEST` lines.
    pub name_with_digest_file: Option<PathBuf>,
    /// File for `REPOSITORY:TAG@DIGEST` lines.
    pub name_tag_with_digest_file: Option<PathBuf>,
}
