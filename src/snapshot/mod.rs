//! A snapshot is the set of paths a step changed, and the layer made of it.
//!
//! This room knows files, and what an overlay mount or a stat index says of them. It must not know Dockerfiles, how
//! the step was run, or where its layer goes.

pub mod change;
mod compare;
mod diff;
mod emit;
mod excluded;
mod hard_links;
pub mod into_layer;
pub mod overlay;
mod overlay_walk;
pub mod scan;

pub use change::Change;
pub use change::Summary;
pub use diff::Diff;
pub use excluded::Excluded;
pub use into_layer::write_layer;
pub use overlay::OverlayDiff;
pub use scan::{Index, ScanDiff, StatDigest};
