//! What is not the same in two images of one Dockerfile.

use crate::generated::Generated;
use crate::known::{self, Known};
use crate::support::entry::Entry;
use crate::support::image::Image;
use crate::support::{Kind, Tree};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tar::Archive;

/// Later than every time that a context, an archive, the base or a `touch` of ours gives: the time of the build.
const NOW: i64 = 1_700_000_000;

/// One thing that is not the same.
pub(crate) struct Difference<'d> {
    /// A path without slashes at its ends; empty for a setting.
    pub(crate) path: &'d str,
    pub(crate) aspect: Aspect,
    pub(crate) ours: Option<&'d Entry>,
    pub(crate) theirs: Option<&'d Entry>,
    pub(crate) dockerfile: &'d str,
    shown: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aspect {
    /// Only one of them has it.
    Presence,
    /// Type, contents or the target of a link.
    Kind,
    Mode,
    Owner,
    /// In seconds, where both are not the time of the build.
    Time,
    Attributes,
    /// The other names of the same file.
    Links,
    /// A field of the config's `config`.
    Setting,
    /// Only buildah builds it at all.
    Refusal,
}

/// All that differs in two images.
#[derive(Default)]
pub(crate) struct Differences {
    /// In lines to print.
    pub(crate) unexplained: Vec<String>,
    /// What explains the others.
    pub(crate) explained: Vec<&'static Known>,
}

impl Differences {
    pub(crate) fn of(unexplained: String) -> Self {
        Self {
            unexplained: vec![unexplained],
            explained: Vec::new(),
        }
    }
}

pub(crate) fn differences(generated: &Generated, ours: &Image, theirs: &Image) -> Differences {
    let trees = (ours.tree(), theirs.tree());
    let mut found = of_trees(&trees.0, &trees.1, &generated.dockerfile);
    found.extend(of_links(ours, &trees, &generated.dockerfile));
    found.extend(of_settings(
        &ours.config["config"],
        &theirs.config["config"],
        &generated.dockerfile,
    ));
    sorted(&found)
}

/// What is to be said of a Dockerfile that buildah builds and the executor does not, with what the executor printed.
pub(crate) fn refusal(generated: &Generated, report: &str) -> Differences {
    sorted(&[Difference {
        path: "",
        aspect: Aspect::Refusal,
        ours: None,
        theirs: None,
        dockerfile: &generated.dockerfile,
        shown: report.to_owned(),
    }])
}

fn sorted(found: &[Difference<'_>]) -> Differences {
    let mut differences = Differences::default();
    for difference in found {
        match known::explanation(difference) {
            Some(known) => differences.explained.push(known),
            None => differences.unexplained.push(difference.to_string()),
        }
    }
    differences
}

fn of_trees<'d>(ours: &'d Tree, theirs: &'d Tree, dockerfile: &'d str) -> Vec<Difference<'d>> {
    let paths: BTreeSet<&str> = ours.paths().chain(theirs.paths()).collect();
    let mut found = Vec::new();
    for path in paths {
        let (our, their) = (ours.find(path), theirs.find(path));
        for (aspect, shown) in of_entries(our, their) {
            found.push(Difference {
                path,
                aspect,
                ours: our,
                theirs: their,
                dockerfile,
                shown,
            });
        }
    }
    found
}

fn of_entries(ours: Option<&Entry>, theirs: Option<&Entry>) -> Vec<(Aspect, String)> {
    let (Some(ours), Some(theirs)) = (ours, theirs) else {
        return vec![(
            Aspect::Presence,
            format!("ours {ours:?}, buildah's {theirs:?}"),
        )];
    };
    if ours.kind != theirs.kind {
        return vec![(
            Aspect::Kind,
            format!("ours {:?}, buildah's {:?}", ours.kind, theirs.kind),
        )];
    }
    let mut found = Vec::new();
    // The mode of a symbolic link means nothing.
    if ours.mode != theirs.mode && !matches!(ours.kind, Kind::Symlink { .. }) {
        found.push((
            Aspect::Mode,
            format!("ours {:04o}, buildah's {:04o}", ours.mode, theirs.mode),
        ));
    }
    let owners = [ours, theirs].map(|entry| (entry.uid, entry.gid));
    if owners[0] != owners[1] {
        found.push((
            Aspect::Owner,
            format!("ours {:?}, buildah's {:?}", owners[0], owners[1]),
        ));
    }
    let times = [ours.mtime, theirs.mtime].map(|time| time.min(NOW));
    if times[0] != times[1] {
        found.push((
            Aspect::Time,
            format!("ours {}, buildah's {}", times[0], times[1]),
        ));
    }
    if ours.xattrs != theirs.xattrs {
        found.push((
            Aspect::Attributes,
            format!("ours {:?}, buildah's {:?}", ours.xattrs, theirs.xattrs),
        ));
    }
    found
}

/// Files that are one file with several names in one image, and not in the other. Names that different layers of ours
/// hold are no such file in any image made of layers ("Image config and layers", 2.2: by inode within one layer).
fn of_links<'d>(
    image: &Image,
    trees: &'d (Tree, Tree),
    dockerfile: &'d str,
) -> Vec<Difference<'d>> {
    let (ours, theirs) = trees;
    let layers = layer_of_each_path(image);
    // The base's own hundreds are not what is built here.
    let files = ours
        .paths()
        .filter(|path| !path.starts_with("bin/") && theirs.has(path));
    let files: Vec<&str> = files
        .filter(|path| matches!(ours.get(path).kind, Kind::File { .. }))
        .collect();
    let mut found = Vec::new();
    for (index, one) in files.iter().enumerate() {
        for other in &files[index + 1..] {
            let linked = [ours, theirs].map(|tree| tree.are_hard_links(one, other));
            if linked[0] != linked[1] && layers.get(*one) == layers.get(*other) {
                let shown = format!(
                    "with {other}: linked in ours {}, in buildah's {}",
                    linked[0], linked[1]
                );
                found.push(Difference {
                    path: one,
                    aspect: Aspect::Links,
                    ours: ours.find(one),
                    theirs: theirs.find(one),
                    dockerfile,
                    shown,
                });
            }
        }
    }
    found
}

/// The layer that each path comes from, by its place.
fn layer_of_each_path(image: &Image) -> BTreeMap<String, usize> {
    let mut layers = BTreeMap::new();
    for (index, layer) in image.layers.iter().enumerate() {
        let mut archive = Archive::new(layer.open());
        for entry in archive.entries().expect("read a layer") {
            let entry = entry.expect("read a layer");
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            layers.insert(
                path.trim_matches('/').trim_start_matches("./").to_owned(),
                index,
            );
        }
    }
    layers
}

fn of_settings<'d>(ours: &Value, theirs: &Value, dockerfile: &'d str) -> Vec<Difference<'d>> {
    let (ours, theirs) = (given(ours), given(theirs));
    let fields: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differing = fields
        .into_iter()
        .filter(|field| ours.get(*field) != theirs.get(*field));
    differing
        .map(|field| Difference {
            path: "",
            aspect: Aspect::Setting,
            ours: None,
            theirs: None,
            dockerfile,
            shown: format!(
                "{field}: ours {:?}, buildah's {:?}",
                ours.get(field),
                theirs.get(field)
            ),
        })
        .collect()
}

/// The fields that say something: null, false and empty are the same as absent.
fn given(config: &Value) -> BTreeMap<String, Value> {
    let fields = config.as_object().into_iter().flatten();
    let says_something = |value: &Value| match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    };
    fields
        .filter(|(_, value)| says_something(value))
        .map(|(field, value)| (field.clone(), value.clone()))
        .collect()
}

impl Difference<'_> {
    /// Whether buildah has the time of the build where we have another.
    pub(crate) fn is_build_time_in_theirs(&self) -> bool {
        let is_now = |entry: &Entry| entry.mtime >= NOW;
        self.theirs.is_some_and(is_now) && !self.ours.is_some_and(is_now)
    }

    /// Whether we have the time of the build where buildah has another.
    pub(crate) fn is_build_time_in_ours(&self) -> bool {
        let is_now = |entry: &Entry| entry.mtime >= NOW;
        self.ours.is_some_and(is_now) && !self.theirs.is_some_and(is_now)
    }

    /// Whether a COPY or ADD of the Dockerfile is such a line, to such a destination.
    pub(crate) fn copies(
        &self,
        is_such: impl Fn(&str) -> bool,
        leads: impl Fn(&str) -> bool,
    ) -> bool {
        let lines = self.dockerfile.lines();
        let mut copies = lines.filter(|line| line.starts_with("COPY ") || line.starts_with("ADD "));
        copies.any(|line| is_such(line) && line.split_whitespace().last().is_some_and(&leads))
    }

    /// Whether an instruction of the Dockerfile starts like this.
    pub(crate) fn has_line(&self, start: &str) -> bool {
        self.dockerfile.lines().any(|line| line.starts_with(start))
    }

    /// Whether there are lines that start so, in this order.
    pub(crate) fn has_lines(&self, starts: &[&str]) -> bool {
        let mut lines = self.dockerfile.lines();
        let mut starts = starts.iter();
        starts.all(|start| lines.any(|line| line.starts_with(start)))
    }

    /// Whether the executor refuses the build with this in its error.
    pub(crate) fn is_refusal(&self, part: &str) -> bool {
        self.aspect == Aspect::Refusal && self.shown.contains(part)
    }

    /// Whether it is of a setting, and shown like this.
    pub(crate) fn is_setting(&self, start: &str) -> bool {
        self.aspect == Aspect::Setting && self.shown.starts_with(start)
    }
}

impl fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:?} {}: {}", self.aspect, self.path, self.shown)
    }
}
