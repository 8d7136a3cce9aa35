//! Where a finished image goes.

use std::path::PathBuf;

use crate::image::Reference;

use super::digest_upload::DigestUpload;
use super::export::Export;

/// Everywhere that a finished image is delivered to. Paths are absolute.
#[derive(Debug, Clone, Default)]
pub struct DeliveryOptions {
    /// References to push to, or to name in files and archives where nothing is pushed.
    pub destinations: Vec<Reference>,
    /// Whether the destinations are pushed to.
    pub push: bool,
    /// Files and streams that the image is written to, besides `oci_layout_path`.
    pub exports: Vec<Export>,
    /// How pushes are tried again, and what is no failure of one.
    pub push_rules: PushRules,
    /// Where an image is kept that could not be pushed, if not in `oci_layout_path`. `None` for nowhere.
    pub unpushed_parent: Option<PathBuf>,
    /// Directory for an OCI image layout.
    pub oci_layout_path: Option<PathBuf>,
    /// File for the manifest's digest.
    pub digest_file: Option<PathBuf>,
    /// Server that the manifest's digest is sent to.
    pub digest_upload: Option<DigestUpload>,
    /// File for `REPOSITORY@DIGEST` lines.
    pub name_with_digest_file: Option<PathBuf>,
    /// File for `REPOSITORY:TAG@DIGEST` lines.
    pub name_tag_with_digest_file: Option<PathBuf>,
    /// File for what BuildKit tells of a build, as JSON.
    pub metadata_file: Option<PathBuf>,
    /// File for the config's digest, which Docker calls the image's ID.
    pub image_id_file: Option<PathBuf>,
    /// File for `VARIABLE=VALUE` lines.
    pub dotenv_file: Option<PathBuf>,
    /// Directory for the list of pushed images that Google Cloud Build reads.
    pub builder_output: Option<PathBuf>,
}

/// What the user decided about pushes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PushRules {
    /// Attempts of a whole push after the first; requests are tried again besides.
    pub retries: u32,
    /// Whether a tag that cannot be overwritten is no failure.
    pub ignores_immutable_tags: bool,
}
