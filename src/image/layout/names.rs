//! What the index of a layout calls its images (image-spec, annotations.md).

use std::collections::BTreeMap;
use std::path::Path;

use super::LayoutError;
use crate::image::descriptor::Descriptor;
use crate::image::reference::Reference;

/// The annotation that names an image in an index (image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that has the whole reference, where one is known (containerd, images/annotations.go).
const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Gives something that an index lists a name.
pub fn named(mut descriptor: Descriptor, name: &str) -> Descriptor {
    let annotations = &mut descriptor.annotations;
    annotations.insert(REF_NAME.to_owned(), name.to_owned());
    descriptor
}

/// Gives it the name that containerd and BuildKit know it by, and its tag as the layout's own name for it.
pub fn named_as(descriptor: Descriptor, reference: &Reference) -> Descriptor {
    let tag = reference.tag_or_digest();
    let mut descriptor = named(descriptor, tag);
    let annotations = &mut descriptor.annotations;
    annotations.insert(CONTAINERD_NAME.to_owned(), reference.to_string());
    descriptor
}

/// Returns what is said of something that an index lists, without what names it there.
pub fn without_names(mut annotations: BTreeMap<String, String>) -> BTreeMap<String, String> {
    annotations.retain(|key, _| key != REF_NAME && key != CONTAINERD_NAME);
    annotations
}

/// Finds an image among those that are listed: by its name, or by the tag that its name ends with. Of
/// several, the last was written last. Without a name, the only image or that of the tag `latest`.
pub(in crate::image) fn find_listed<'a>(
    listed: &'a [Descriptor],
    tag: Option<&str>,
    path: &Path,
) -> Result<&'a Descriptor, LayoutError> {
    if let (None, [only]) = (tag, listed) {
        return Ok(only);
    }
    let wanted = tag.unwrap_or("latest");
    let full_name = format!(":{wanted}");
    let is_called = |image: &&Descriptor| {
        let name = name_of(image);
        name.is_some_and(|name| name == wanted || name.ends_with(&full_name))
    };
    let found = listed.iter().rev().find(is_called);
    found.ok_or_else(|| LayoutError::NoSuchImage {
        path: path.to_path_buf(),
        tag: wanted.to_owned(),
        names: listed
            .iter()
            .filter_map(name_of)
            .map(str::to_owned)
            .collect(),
    })
}

/// Tells whether both tell whole references, and these differ.
pub(super) fn are_of_other_references(one: &Descriptor, other: &Descriptor) -> bool {
    let reference = |listed: &Descriptor| listed.annotations.get(CONTAINERD_NAME).cloned();
    match (reference(one), reference(other)) {
        (Some(one), Some(other)) => one != other,
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}

/// Returns the name of something that an index lists. `None` where it has none.
pub(super) fn name_of(listed: &Descriptor) -> Option<&str> {
    listed.annotations.get(REF_NAME).map(String::as_str)
}
