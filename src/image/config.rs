//! The image config: how a container of the image is started, and which layers it is made of.
//!
//! The type is ours because oci-spec's has no Healthcheck, OnBuild or Shell and drops what it does not know: a base image
//! passed through it would lose them. Every object here keeps the fields that it has no name for. This module must not
//! know where a config comes from, nor what a Dockerfile says.
//!
//! Written configs are compact JSON with sorted keys, empty fields left out. `<`, `>` and `&` are written as themselves:
//! Go escapes them for HTML, but every JSON reader gives the same text for both, and ours stays readable.

mod container;
mod history;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use super::digest::DiffId;
use super::go_json::null_is_default;
use super::platform::Platform;

pub use self::container::{ContainerConfig, Healthcheck};
pub use self::history::HistoryEntry;

/// The largest config that is read, in bytes. Real ones are a few KiB; one with BuildKit's inline cache may reach a MiB.
pub const MAX_CONFIG_BYTES: usize = 8 * 1024 * 1024;

/// What BuildKit gives an image without a PATH (util/system/path.go).
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why bytes are not an image config, or a config does not fit its image.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// More than [`MAX_CONFIG_BYTES`].
    #[error("image config is larger than {MAX_CONFIG_BYTES} bytes")]
    TooLarge,
    /// Not JSON, or a field has the wrong type.
    #[error("cannot parse the image config")]
    Parse(#[source] serde_json::Error),
    /// A map key or number that JSON cannot hold; does not happen with values that were parsed.
    #[error("cannot write the image config")]
    Write(#[source] serde_json::Error),
    /// image-spec, config.md: one diff ID per layer.
    #[error("image config lists {diff_ids} diff IDs but the manifest has {layers} layers")]
    LayerCount {
        /// How many the config has.
        diff_ids: usize,
        /// How many the manifest has.
        layers: usize,
    },
}

/// The whole document (image-spec, config.md; Docker's image specification 1.2 for what OCI leaves out).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When the image was made, RFC 3339 as written. `None` if nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it. Empty if nobody said.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// CPU, such as `amd64`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    /// Operating system, such as `linux`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    /// Windows build number. `None` elsewhere.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub os_version: Option<String>,
    /// Windows features. Empty elsewhere.
    #[serde(
        rename = "os.features",
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Revision of the CPU. `None` for the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// How a container is started.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    /// Which layers there are.
    #[serde(default, deserialize_with = "null_is_default")]
    pub rootfs: RootfsConfig,
    /// How the image was made, oldest first.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<HistoryEntry>,
    /// Fields without a name here, such as `moby.buildkit.cache.v0`.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// The layers of the image, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsConfig {
    /// Always `layers`.
    #[serde(rename = "type", default = "layers")]
    pub kind: String,
    /// Base first. Empty for an image without files. Written even if empty: image-spec requires the field.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
    /// Fields without a name here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

fn layers() -> String {
    "layers".to_owned()
}

impl Default for RootfsConfig {
    fn default() -> Self {
        Self {
            kind: layers(),
            diff_ids: Vec::new(),
            unknown: Map::new(),
        }
    }
}

impl ImageConfig {
    /// Returns the config of `FROM scratch` as BuildKit starts it: the platform, `/`, and a PATH (not on Windows).
    pub fn scratch(platform: &Platform) -> Self {
        let mut image = Self::default();
        image.set_platform(platform);
        image.config.working_dir = "/".to_owned();
        image.add_default_path();
        image
    }

    /// Reads a config. Names that differ only in case from known ones are unknown fields.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.len() > MAX_CONFIG_BYTES {
            return Err(ConfigError::TooLarge);
        }
        serde_json::from_slice(bytes).map_err(ConfigError::Parse)
    }

    /// Returns the bytes to store: compact, keys sorted at every level, so the same config always has the same digest.
    pub fn to_json(&self) -> Result<Vec<u8>, ConfigError> {
        let mut document = serde_json::to_value(self).map_err(ConfigError::Write)?;
        document.sort_all_objects();
        serde_json::to_vec(&document).map_err(ConfigError::Write)
    }

    /// Returns the machine that the image is for, normalised.
    pub fn platform(&self) -> Platform {
        let named = Platform {
            architecture: self.architecture.clone(),
            os: self.os.clone(),
            os_version: self.os_version.clone(),
            os_features: self.os_features.clone(),
            variant: self.variant.clone(),
        };
        named.normalised()
    }

    /// Declares the machine that the image is for. Windows' version and features stay if system and CPU do and none are given.
    pub fn set_platform(&mut self, platform: &Platform) {
        let platform = platform.normalised();
        let is_same = self.os == platform.os && self.architecture == platform.architecture;
        if !is_same || platform.os_version.is_some() {
            self.os_version = platform.os_version;
        }
        if !is_same || !platform.os_features.is_empty() {
            self.os_features = platform.os_features;
        }
        self.os = platform.os;
        self.architecture = platform.architecture;
        self.variant = platform.variant;
    }

    /// Appends BuildKit's PATH to the environment of an image that has none. Windows images have theirs in the registry hive.
    pub fn add_default_path(&mut self) {
        let has_path = self
            .config
            .env
            .iter()
            .any(|entry| entry.starts_with("PATH="));
        if !has_path && self.os != "windows" {
            self.config.env.push(format!("PATH={DEFAULT_PATH}"));
        }
    }

    /// Returns when the image was made. `None` if nobody said, or not in RFC 3339.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.created.as_deref()?.parse().ok()
    }

    /// Says when the image was made; written in UTC.
    pub fn set_created(&mut self, created: Timestamp) {
        self.created = Some(created.to_string());
    }

    /// Checks that there is one diff ID per layer of the manifest.
    pub fn check_layer_count(&self, layers: usize) -> Result<(), ConfigError> {
        match self.rootfs.diff_ids.len() {
            diff_ids if diff_ids == layers => Ok(()),
            diff_ids => Err(ConfigError::LayerCount { diff_ids, layers }),
        }
    }
}

#[cfg(test)]
mod tests;
