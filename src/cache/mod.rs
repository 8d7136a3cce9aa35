//! Have we built this before? Layers by the keys of the steps that made them, and base images by their digests.
//!
//! ```text
//! inputs of a step ──▶ Fingerprint ──▶ CacheKey ──look_up──▶ CacheEntry: the layer, and where its bytes are
//! ```
//!
//! What a cache holds is checked before it is believed, and whatever is wrong with it is a miss and a warning: a cache
//! never fails a build. This room runs nothing, and knows neither Dockerfiles nor the order of a build.

mod encoding;
mod fingerprint;
pub mod inputs;
mod key;

pub use fingerprint::{Difference, Fingerprint, Part};
pub use key::{CacheKey, InvalidKey};
