//! Whether two modes have one result.

use super::case::Case;
use super::listing;
use super::mode::Mode;
use crate::support::Image;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many differing lines are shown of one layer or tree.
const LINES_MAX: usize = 20;

/// What tells the image built in `mode` from the reference's, beyond what the case allows; empty for one result.
///
/// Deterministic cases must have the same layers, digest for digest, and the same config. A case with volatile paths, or
/// with differences that the mode forces, must have the same files elsewhere, and those differences exactly.
pub(crate) fn complaints(case: &Case, mode: Mode, reference: &Image, other: &Image) -> Vec<String> {
    if case.volatile().is_empty() && case.differences(mode).is_empty() {
        let mut complaints = about_layers(reference, other);
        complaints.extend(about_configs(&reference.config, &other.config));
        if complaints.is_empty() && reference.digest() != other.digest() {
            complaints.push("the manifests differ".to_owned());
        }
        complaints
    } else {
        let mut complaints = about_trees(case, mode, reference, other);
        complaints.extend(about_configs(
            &without_diff_ids(&reference.config),
            &without_diff_ids(&other.config),
        ));
        complaints
    }
}

fn about_layers(reference: &Image, other: &Image) -> Vec<String> {
    let counts = [reference, other].map(|image| image.layers.len());
    if counts[0] != counts[1] {
        return vec![format!(
            "{} layers, the reference has {}",
            counts[1], counts[0]
        )];
    }
    let pairs = reference.layers.iter().zip(&other.layers).enumerate();
    pairs
        .filter_map(|(index, (one, two))| {
            if one.diff_id != two.diff_id {
                let lines = shortened(listing::differences(one, two));
                Some(format!(
                    "layer {index} differs (-: the reference's)\n  {}",
                    lines.join("\n  ")
                ))
            } else if one.digest != two.digest {
                Some(format!("layer {index} is compressed to other bytes"))
            } else {
                None
            }
        })
        .collect()
}

fn about_configs(reference: &Value, other: &Value) -> Vec<String> {
    let fields = |config: &Value| {
        let fields = config.as_object().expect("a config is an object");
        fields.keys().cloned().collect::<Vec<String>>()
    };
    let all: BTreeSet<String> = fields(reference).into_iter().chain(fields(other)).collect();
    all.into_iter()
        // Told by the layers.
        .filter(|field| field != "rootfs" && reference[field] != other[field])
        .map(|field| {
            format!(
                "the config's `{field}` is {}, the reference's {}",
                other[&field], reference[&field]
            )
        })
        .collect()
}

fn without_diff_ids(config: &Value) -> Value {
    let mut config = config.clone();
    config["rootfs"]["diff_ids"] = Value::Null;
    config
}

fn about_trees(case: &Case, mode: Mode, reference: &Image, other: &Image) -> Vec<String> {
    let (volatile, forced) = (case.volatile(), case.differences(mode));
    let (ours, theirs) = (reference.tree(), other.tree());
    let paths: BTreeSet<&str> = ours.paths().chain(theirs.paths()).collect();
    let mut complaints = Vec::new();
    for path in paths {
        let (one, two) = (ours.find(path), theirs.find(path));
        if one != two && !volatile.matches(path) && !forced.names(path) {
            complaints.push(format!("{path}: {two:?}, the reference has {one:?}"));
        }
    }
    let mut complaints = shortened(complaints);
    complaints.extend(case.expectation().complaints(&theirs, &forced));
    complaints.extend(forced.complaints(&theirs, &super::expectation::Expectation::of("")));
    complaints
}

fn shortened(mut lines: Vec<String>) -> Vec<String> {
    let hidden = lines.len().saturating_sub(LINES_MAX);
    lines.truncate(LINES_MAX);
    if hidden > 0 {
        lines.push(format!("and {hidden} more"));
    }
    lines
}
