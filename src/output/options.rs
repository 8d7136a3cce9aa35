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
    /// How pushes are tried again, and what is no failure of one.
    pub push_rules: PushRules,
    /// Where an image is kept that could not be pushed, if not in `oci_layout_path`. `None` for nowhere.
    pub unpushed_parent: Option<PathBuf>,
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

/// What the user decided about pushes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushRules {
    /// Attempts of a whole push after the first; requests are tried again besides.
    pub retries: u32,
    /// Whether a tag that cannot be overwritten is no failure.
    pub ignores_immutable_tags: bool,
}
