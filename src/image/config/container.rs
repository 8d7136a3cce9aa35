//! How a container of the image is started. This module knows the fields that Docker reads, not who sets them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::image::go_json::{empty_object_keys, is_false, is_zero, null_is_default};

/// How a container of the image is started: the defaults for `docker run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// `user`, `uid`, `user:group`. Empty means root.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// `port/protocol`.
    #[serde(
        default,
        with = "empty_object_keys",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`, in the order of definition.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// The program and its first arguments. Empty if there is none.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    /// Further arguments, or the program if there is no entrypoint. Empty if there is none.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    /// Directories that get a volume.
    #[serde(
        default,
        with = "empty_object_keys",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub volumes: BTreeSet<String>,
    /// Where the program starts. Empty means `/`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// Free words about the image.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// Name or number. Empty means SIGTERM.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub stop_signal: String,
    /// Windows: whether `cmd` is one escaped string. BuildKit sets it on Linux too.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_false"
    )]
    pub args_escaped: bool,
    /// How to ask a container whether it works. `None` if nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Instructions for those who build on this image, in order.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub on_build: Vec<String>,
    /// The program before a shell-form instruction. Empty means `/bin/sh -c`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub shell: Vec<String>,
    /// Fields without a name here, such as `Hostname`.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

/// HEALTHCHECK. All durations are in nanoseconds, and 0 means inherited or the runtime's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `NONE`, or `CMD` or `CMD-SHELL` and arguments. Empty means inherited.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub test: Vec<String>,
    /// Time between two checks.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub interval: i64,
    /// Time for one check.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub timeout: i64,
    /// Time in which failures do not count.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub start_period: i64,
    /// Time between two checks while starting.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub start_interval: i64,
    /// Failures in a row until unhealthy; 0 means inherited.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub retries: i64,
    /// Fields without a name here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}
