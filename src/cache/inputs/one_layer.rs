//! What the one layer of a stage depends on (`--single-snapshot`).

use super::encode_compression;
use crate::cache::encoding::Encoder;
use crate::cache::fingerprint::Fingerprint;
use crate::image::DiffId;
use crate::image::layer_writer::Compression;

/// One layer made of those of a stage's steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneLayerInputs {
    /// The layers below it, base first: what is deleted in them depends on what they have.
    pub below: Vec<DiffId>,
    /// The layers that it is made of, the lowest first.
    pub layers: Vec<DiffId>,
    /// How it is compressed.
    pub compression: Compression,
}

impl OneLayerInputs {
    /// Returns what the key is taken over.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::new("ONE LAYER")
            .part("layers below", |value| encode_layers(value, &self.below))
            .part("layers of the steps", |value| {
                encode_layers(value, &self.layers)
            })
            .part("compression", |value| {
                encode_compression(value, self.compression)
            })
    }
}

fn encode_layers(value: Encoder, layers: &[DiffId]) -> Encoder {
    value.list(layers.iter(), |value, id| {
        value.text(id.as_digest().as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Digest;

    #[test]
    fn every_input_counts_and_so_does_their_order() {
        let ids = |texts: &[&str]| {
            let ids = texts.iter();
            let ids = ids.map(|text| DiffId::new(Digest::of(text.as_bytes())));
            ids.collect::<Vec<_>>()
        };
        let key = |below: &[&str], layers: &[&str], compression| {
            let (below, layers) = (ids(below), ids(layers));
            let inputs = OneLayerInputs {
                below,
                layers,
                compression,
            };
            inputs.fingerprint().key()
        };
        let gzip = Compression::Gzip { level: 3 };
        let keys = [
            key(&["a"], &["b", "c"], gzip),
            key(&["a", "b"], &["c"], gzip),
            key(&["a"], &["c", "b"], gzip),
            key(&[], &["b", "c"], gzip),
            key(&["a"], &["b", "c"], Compression::Gzip { level: 4 }),
            key(&["a"], &["b", "c"], Compression::Zstd { level: 3 }),
        ];
        for (at, key) in keys.iter().enumerate() {
            assert!(!keys[..at].contains(key), "{at}");
        }
    }
}
