//! A layer as lines of text, for people who ask where two layers differ.

use crate::support::image::{Layer, sha256_of_reader};
use std::collections::BTreeSet;
use tar::{Archive, Entry};

/// The names as they stand in the tar, in its order.
pub(crate) fn names(layer: &Layer) -> Vec<String> {
    of_entries(layer, |entry| lossy(&entry.path_bytes()))
}

/// What one layer has and the other has not, a line for each entry; `-` for the first, `+` for the second.
pub(crate) fn differences(first: &Layer, second: &Layer) -> Vec<String> {
    let [ours, theirs] = [first, second].map(|layer| of_entries(layer, describe));
    let of = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<_>>();
    let (one, two) = (of(&ours), of(&theirs));
    let gone = one.difference(&two).map(|line| format!("- {line}"));
    let new = two.difference(&one).map(|line| format!("+ {line}"));
    let mut lines: Vec<String> = gone.chain(new).collect();
    if lines.is_empty() {
        lines.push("the same entries, in another order or with other bytes around them".to_owned());
    }
    lines
}

fn of_entries<T>(
    layer: &Layer,
    mut read: impl FnMut(&mut Entry<'_, Box<dyn std::io::Read>>) -> T,
) -> Vec<T> {
    let mut archive = Archive::new(layer.open());
    let entries = archive.entries().expect("read a layer");
    entries
        .map(|entry| read(&mut entry.expect("read a layer")))
        .collect()
}

fn describe(entry: &mut Entry<'_, Box<dyn std::io::Read>>) -> String {
    let path = lossy(&entry.path_bytes());
    let target = entry.link_name_bytes().map(|target| lossy(&target));
    let mut records = Vec::new();
    if let Some(found) = entry.pax_extensions().expect("read PAX records") {
        for record in found {
            let record = record.expect("read a PAX record");
            let key = record.key().expect("a PAX key is UTF-8");
            if !["path", "linkpath"].contains(&key) {
                records.push(format!("{key}={:?}", lossy(record.value_bytes())));
            }
        }
    }
    let header = entry.header();
    let line = format!(
        "{path} {:?} {:04o} {}:{} @{} {} {records:?}",
        header.entry_type(),
        header.mode().unwrap_or_default(),
        header.uid().unwrap_or_default(),
        header.gid().unwrap_or_default(),
        header.mtime().unwrap_or_default(),
        target
            .map(|target| format!("-> {target}"))
            .unwrap_or_default(),
    );
    let (hash, size) = sha256_of_reader(entry);
    format!("{line} {size} bytes {}", &hash[..12])
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
