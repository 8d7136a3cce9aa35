//! OCI nouns and their encodings: what an image is, and how it is named.
//!
//! This room knows bytes, digests and JSON. It must not know the network, a Dockerfile, or where an image comes from.

pub mod annotations;
pub mod archive;
pub mod assembled;
pub mod assembled_index;
pub mod blob_store;
pub mod config;
pub mod decompress;
pub mod descriptor;
pub mod digest;
pub mod docker_archive;
mod go_json;
pub mod layer_encoder;
pub mod layer_entry;
pub mod layer_writer;
pub mod layout;
pub mod manifest;
pub mod media_type;
pub mod merge;
pub mod oci_archive;
pub mod overlay;
pub mod parallel_gzip;
mod pax;
pub mod platform;
pub mod reference;
pub mod stored_image;
pub mod tar_stream;
pub mod unpack;

pub use annotations::{Annotated, Annotations, ImageAnnotations};
pub use assembled::{AssembledImage, AssembledLayer, BlobOrigin};
pub use assembled_index::AssembledIndex;
pub use config::ImageConfig;
pub use descriptor::Descriptor;
pub use digest::DiffId;
pub use digest::Digest;
pub use manifest::Index;
pub use manifest::Manifest;
pub use media_type::ImageFormat;
pub use media_type::LayerCompression;
pub use media_type::MediaType;
pub use overlay::OverlayXattrs;
pub use platform::Platform;
pub use reference::Reference;
