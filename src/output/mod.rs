//! Where a finished image goes: registries, archives, layouts, and files that name it.
//!
//! This room knows finished images. It must not know how one was built.

mod archive_place;
mod deliver;
mod digest_files;
mod digest_upload;
mod export;
mod file_tree;
mod files_dir;
mod layer_blobs;
mod options;
mod push;
mod result_files;

pub use archive_place::ArchivePlace;
pub use deliver::deliver;
pub use digest_upload::DigestUpload;
pub use export::Export;
pub use file_tree::{FileTree, Owners};
pub use files_dir::fill_dir;
pub use options::DeliveryOptions;
pub use push::{Receipt, check_push_access};
