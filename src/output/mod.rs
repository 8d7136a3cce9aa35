//! Where a finished image goes: registries, archives, layouts, and files that name it.
//!
//! This room knows finished images. It must not know how one was built.

mod archive_place;
mod deliver;
mod digest_files;
mod digest_upload;
mod error;
mod export;
mod file_tree;
mod files_dir;
mod finished;
mod join;
mod layer_blobs;
mod options;
mod parcel;
mod push;
mod result_files;
mod stored;
mod unpushed;

pub use archive_place::ArchivePlace;
pub use deliver::deliver;
pub use digest_upload::DigestUpload;
pub use error::{PushError, PushFailures};
pub use export::Export;
pub use file_tree::{FileTree, Owners};
pub use files_dir::fill_dir;
pub use finished::Finished;
pub use join::{ImageSource, JoinOptions, JoinedIndex, join};
pub use layer_blobs::LayerBlobs;
pub use options::{DeliveryOptions, PushRules};
pub use push::{Receipt, check_push_access};
pub use stored::{StoredName, StoredParcel, deliver_stored};
