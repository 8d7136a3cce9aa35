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
    /// Files and streams that the image is written to.
    pub exports: Vec<Export>,
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
