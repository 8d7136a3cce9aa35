//! Where a finished image goes: registries, archives, layouts, and files that name it.
//!
//! This room knows finished images. It must not know how one was built.

mod digest_files;
mod options;

pub use options::DeliveryOptions;
