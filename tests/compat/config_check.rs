//! Whether an image has the config and the history that a case says, and the base's otherwise.

use crate::bases::Base;
use crate::expected::{ExpectedEntry, ExpectedImage};
use serde_json::{Value, json};

/// What is wrong with the config, but for its times, which need only be there.
pub(crate) fn complaints(expected: &ExpectedImage, base: &Base, found: &Value) -> Vec<String> {
    let mut wanted = base.config.clone();
    merge(&mut wanted, &expected.config);
    let mut rest = found.clone();
    let fields = rest.as_object_mut().expect("a config is an object");
    // The oracle has looked at these two.
    fields.remove("created");
    fields.remove("rootfs");
    let history = fields.remove("history").unwrap_or_default();
    let mut complaints = Vec::new();
    if rest != wanted {
        complaints.push(format!(
            "the config is\n    {rest}\n  expected was\n    {wanted}"
        ));
    }
    complaints.extend(about_history(
        expected,
        base,
        history.as_array().map_or(&[], Vec::as_slice),
    ));
    complaints
}

/// RFC 7396: objects are merged, `null` removes, all else replaces.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let target = target.as_object_mut().expect("made one");
    for (field, value) in patch {
        if value.is_null() {
            target.remove(field);
        } else {
            merge(target.entry(field).or_insert(Value::Null), value);
        }
    }
}

fn about_history(expected: &ExpectedImage, base: &Base, found: &[Value]) -> Vec<String> {
    let count = base.history.len().min(found.len());
    let (first, own) = found.split_at(count);
    let mut complaints = Vec::new();
    let without_time = |entry: &Value| {
        let mut entry = entry.clone();
        entry
            .as_object_mut()
            .expect("an entry is an object")
            .remove("created");
        entry
    };
    if !first
        .iter()
        .map(without_time)
        .eq(base.history.iter().map(without_time))
    {
        complaints.push(format!(
            "the history begins with {first:?}, the base's is {:?}",
            base.history
        ));
    }
    let present: Vec<String> = own.iter().map(shown).collect();
    let wanted: Vec<String> = expected.history.iter().map(shown_as_expected).collect();
    if present != wanted {
        complaints.push(format!(
            "the history is\n    {}\n  expected was\n    {}",
            present.join("\n    "),
            wanted.join("\n    ")
        ));
    }
    let untimed = own.iter().filter(|entry| !entry["created"].is_string());
    complaints.extend(untimed.map(|entry| format!("no time: {entry}")));
    complaints
}

/// All that an entry says but its time.
fn shown(entry: &Value) -> String {
    let mut entry = entry.clone();
    let fields = entry.as_object_mut().expect("an entry is an object");
    fields.remove("created");
    fields.sort_keys();
    entry.to_string()
}

fn shown_as_expected(entry: &ExpectedEntry) -> String {
    let mut json = json!({ "comment": entry.comment });
    if !entry.created_by.is_empty() {
        json["created_by"] = json!(entry.created_by);
    }
    if !entry.has_layer {
        json["empty_layer"] = json!(true);
    }
    shown(&json)
}
