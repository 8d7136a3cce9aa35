//! Where a finished image goes: registries, archives, layouts, and files that name it.
//!
//! This room knows finished images. It must not know how one was built.

mod deliver;
mod digest_files;
mod error;
mod index;
mod join;
mod layer_blobs;
mod options;
mod parcel;
mod push;
mod stored;
mod unpushed;

pub use deliver::deliver;
pub use error::{PushError, PushFailures};
pub use index::deliver_index;
pub use join::{ImageSource, JoinOptions, JoinedIndex, join};
pub use options::{DeliveryOptions, PushRules};
pub use push::{Receipt, check_push_access};
pub use stored::{StoredParcel, deliver_stored};
