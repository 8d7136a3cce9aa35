//! Whether the reference is right: what the case says of its image, in files and in layers.

use super::case::Case;
use super::expectation::Expectation;
use crate::support::Image;

/// What the image of the reference mode has otherwise than the case says; `base_layers` of its layers are the base's.
pub(crate) fn complaints(case: &Case, image: &Image, base_layers: usize) -> Vec<String> {
    let none = Expectation::of("");
    let mut complaints = case.expectation().complaints(&image.tree(), &none);
    if let Some(layers) = case.layers() {
        complaints.extend(layers.complaints(&image.layers[base_layers..]));
    }
    complaints
}
