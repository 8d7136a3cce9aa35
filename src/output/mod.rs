//! Where a finished image goes: registries, archives, layouts, and files that name it.
//!
//! This room knows finished images. It must not know how one was built.

mod deliver;
mod digest_files;
mod index;
mod join;
mod layer_blobs;
mod options;
mod push;

pub use deliver::deliver;
pub use index::deliver_index;
pub use join::{ImageSource, JoinOptions, JoinedIndex, join};
pub use options::DeliveryOptions;
pub use push::{Receipt, check_push_access};
