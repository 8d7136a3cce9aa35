//! Have we built this before? Layers by the keys of the steps that made them, and base images by their digests.
//!
//! ```text
//! inputs of a step ──▶ Fingerprint ──▶ CacheKey ──look_up──▶ CacheEntry: the layer, and where its bytes are
//!                                                ◀──store─── the layer that the step made
//! ```
//!
//! What a cache holds is checked before it is believed, and whatever is wrong with it is a miss and a warning: a cache
//! never fails a build. This room runs nothing, and knows neither Dockerfiles nor the order of a build.

mod base_images;
pub mod cache_mounts;
mod encoding;
mod entry;
mod fill;
mod fingerprint;
pub mod inputs;
mod key;
mod layer_cache;
pub mod local_cache;
mod lookup;
mod registry_cache;

pub use base_images::{BaseImageCache, ImageLayers, ImageName, ResolvedImage};
pub use entry::{CacheEntry, EntryError, EntryLooks};
pub use fill::{FillError, Filled, FilledImage};
pub use fingerprint::{Difference, Fingerprint, Part};
pub use key::{CacheKey, InvalidKey};
pub use layer_cache::{
    CacheRepository, FoundLayer, LayerCache, LayerPlace, OpenCacheError, Wanted,
};
pub use local_cache::LocalCache;
pub use lookup::{Lookup, Miss};
pub use registry_cache::{RegistryCache, StoreError};
