//! What was done to make each layer, as the config tells it. This module knows how entries and layers line up.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ImageConfig;
use crate::image::go_json::{is_false, null_is_default};

/// The comment of entries made up for layers that have none (BuildKit, exporter/containerimage/writer.go).
const SYNTHESISED: &str = "buildkit.exporter.image.v0";

/// One step of the image's making.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, RFC 3339 as written. `None` if nobody said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction. Empty if nobody said.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub created_by: String,
    /// Who. Empty if nobody said.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// Which program wrote the entry.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub comment: String,
    /// True if the step made no layer.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_false"
    )]
    pub empty_layer: bool,
    /// Fields without a name here.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl ImageConfig {
    /// Makes history and layers agree, as BuildKit does: entries beyond the last layer are declared empty, layers beyond the
    /// last entry get one that says when (`created`) and nothing else.
    pub fn reconcile_history(&mut self, created: Option<Timestamp>) {
        let layers = self.rootfs.diff_ids.len();
        let mut explained = 0;
        for entry in self.history.iter_mut().filter(|entry| !entry.empty_layer) {
            entry.empty_layer = explained == layers;
            explained += usize::from(!entry.empty_layer);
        }
        let missing = HistoryEntry {
            created: created.map(|time| time.to_string()),
            comment: SYNTHESISED.to_owned(),
            ..HistoryEntry::default()
        };
        self.history
            .extend(std::iter::repeat_n(missing, layers - explained));
    }
}
