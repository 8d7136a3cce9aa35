//! Careful files: directories that paths from outside cannot leave, and errors that name their path.
//!
//! This room knows files, owners and attributes. It must not know images, Dockerfiles or registries.

mod copied_xattrs;
mod copy;
mod copy_tree;
mod descent;
mod dir;
mod dir_metadata;
mod dir_own_xattr;
mod dir_read;
mod dir_xattrs;
mod error;
mod file;
pub mod glob;
mod halting;
mod inode;
mod known_contents;
mod ledger;
mod metadata;
mod mode;
mod new_file;
mod recorded;
mod remove;
mod replace;
mod rewrite;
mod root;
mod stray;

pub use copy::{Choice, CopyRules, Destination, base_name, copy, create_dir_all};
pub use copy_tree::copy_tree;
pub use descent::Descent;
pub use dir::Dir;
pub use dir_read::DirEntry;
pub use dir_xattrs::Xattrs;
pub use error::{PathContext, PathError};
pub use file::stored_range;
pub use halting::{Halted, Halting, go_on};
pub use inode::Inode;
pub use known_contents::{ContentHasher, KnownContents};
pub use ledger::{Ledger, Record, Rights};
pub use metadata::{FileKind, Metadata, Timestamp, device_number};
pub use mode::ModeChange;
pub use new_file::NewFile;
pub use remove::remove_tree;
pub use replace::{create_file, replace_file};
pub use rewrite::rewrite;
pub use root::Root;
pub use stray::empty_if_named;
