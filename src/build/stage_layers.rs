//! `--single-snapshot`: a stage adds one layer to the image, made of those that its steps have made.
//!
//! Steps write, keep and find their layers as ever, so that caches and later stages do not know the difference. Theirs are
//! read as they are stored, and the layers below the stage only if it hides something of what they may have.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::fs::Halting;
use crate::image::blob_store::BlobStore;
use crate::image::decompress::{Compression, Decoder, LayerDecompressor};
use crate::image::layer_writer::{Layer, LayerOptions, LayerWriter};
use crate::image::merge::{Hidden, MergeError, Names, compose};
use crate::image::{DiffId, Platform};

use super::Event;
use super::base::settled;
use super::draft::LayerCounts;
use super::halt::{Halt, Halted};
use super::layer_job::{MORE_ROOM, is_of_full_disk};
use super::layers::{LayerContent, StageLayer, StoredLayer, pending};
use super::unpacking::check_diff_id;
use super::workshop::Workshop;

/// Read at a time of each layer: enough that system calls cost nothing, and little for a stage of a hundred layers.
const BUFFER_BYTES: usize = 64 * 1024;

impl Workshop {
    /// Returns the layers of an image in which each stage has one. A stage that has none adds none; one of a single layer
    /// keeps it.
    pub(super) async fn one_layer_per_stage(
        &self,
        layers: &[StageLayer],
        counts: &LayerCounts,
        platform: &Platform,
    ) -> Result<Vec<StageLayer>> {
        let (base, mut above) = layers.split_at(counts.base);
        let mut image = base.to_vec();
        for count in &counts.stages {
            let (own, rest) = above.split_at(*count);
            above = rest;
            match own {
                [] => {}
                [one] if self.has_final_form(one) => image.push(one.clone()),
                several => {
                    let layer = self.one_layer(&image, several, platform).await?;
                    image.push(layer);
                }
            }
        }
        Ok(image)
    }

    /// Says whether a layer is compressed as those of the image are to be.
    fn has_final_form(&self, layer: &StageLayer) -> bool {
        match &layer.content {
            // What a cache has is found for the same form only.
            LayerContent::Stored(_) | LayerContent::Unwritten => true,
            LayerContent::New(_) => self.step_layers_are_final(),
        }
    }

    /// Finds the one layer that the layers of a stage give, or makes it.
    async fn one_layer(
        &self,
        below: &[StageLayer],
        own: &[StageLayer],
        platform: &Platform,
    ) -> Result<StageLayer> {
        let (below, layers) = (settled(below).await?, settled(own).await?);
        // When the last of them was made: what a cache gives does not change it.
        let created = own.iter().filter_map(|layer| layer.created).max();
        let caching = self.caching.as_ref().map(|caching| {
            let (below, layers) = (diff_ids(&below), diff_ids(&layers));
            (caching, caching.one_layer(below, layers, platform, created))
        });
        if let Some((caching, one)) = &caching
            && let Some(found) = caching.find_one_layer(one).await
        {
            return Ok(found);
        }
        let made = self.merge(below, layers).await?;
        let keeping = caching.map(|(caching, one)| caching.keep_one_layer(&one, &made));
        Ok(StageLayer {
            created,
            content: LayerContent::New(pending(async { Ok(made) })),
            keeping,
        })
    }

    async fn merge(
        &self,
        below: Vec<Arc<StoredLayer>>,
        layers: Vec<Arc<StoredLayer>>,
    ) -> Result<Layer> {
        let count = layers.len();
        self.images.gather(&layers).await?;
        let halt = self.halt.clone();
        let job = MergeJob {
            blobs: self.images.blobs(),
            halt: halt.clone(),
            options: self.layer_options(),
            file: self.new_layer_file(),
            layers,
        };
        let merged = async {
            let reading = tokio::task::spawn_blocking(move || anyhow::Ok((job.names()?, job)));
            let (names, job) = reading.await.context("reading the layers stopped")??;
            let below = match names.hides_something() {
                true => below,
                false => Vec::new(),
            };
            self.images.gather(&below).await?;
            let writing = tokio::task::spawn_blocking(move || job.write(&names, &below));
            writing.await.context("writing the layer stopped")?
        };
        let layer = merged.await.map_err(|error: anyhow::Error| {
            let mut what = format!("cannot make one layer of the {count} of a stage");
            if is_of_full_disk(&error) {
                what = format!("{what}; {MORE_ROOM}");
            }
            match halt.is_requested() {
                true => Halted.into(),
                false => error.context(what),
            }
        })?;
        self.report(Event::Note(&format!(
            "made one layer of {count}: {}, {} entries",
            layer.digest, layer.entries
        )));
        Ok(layer)
    }
}

fn diff_ids(layers: &[Arc<StoredLayer>]) -> Vec<DiffId> {
    let ids = layers.iter().map(|layer| layer.diff_id.clone());
    ids.collect()
}

/// What making one layer of several takes. Blocks.
struct MergeJob {
    blobs: Arc<BlobStore>,
    halt: Halt,
    options: LayerOptions,
    /// Where the layer is written.
    file: PathBuf,
    /// The layers of the stage, whose blobs are here, the lowest first.
    layers: Vec<Arc<StoredLayer>>,
}

impl MergeJob {
    fn names(&self) -> Result<Names> {
        let mut names = Names::default();
        for layer in &self.layers {
            self.read(layer, |tar| names.add_layer(tar))?;
        }
        Ok(names)
    }

    fn write(&self, names: &Names, below: &[Arc<StoredLayer>]) -> Result<Layer> {
        let mut hidden = Hidden::by(names);
        for layer in below {
            self.read(layer, |tar| hidden.see_layer(tar))?;
        }
        let mut writer = LayerWriter::create(&self.file, self.options)?;
        let open = |number: usize| self.open_again(&self.layers[number]);
        compose(names, &hidden, open, self.blobs.temp_dir(), &mut writer)?;
        let layer = writer.finish()?;
        self.blobs.adopt(&layer.path, &layer.digest)?;
        Ok(layer)
    }

    /// Reads a layer to its end, and checks that it is the one it should be.
    fn read(
        &self,
        layer: &StoredLayer,
        work: impl FnOnce(&mut LayerDecompressor) -> Result<(), MergeError>,
    ) -> Result<()> {
        let read = || {
            let (compression, source) = Compression::detect(self.blob(layer)?)?;
            let mut tar = LayerDecompressor::spawn(source, compression)?;
            work(&mut tar)?;
            check_diff_id(&tar.finish()?, &layer.diff_id)
        };
        read().with_context(|| format!("cannot read layer {}", layer.name()))
    }

    /// Opens a layer that was read before: without a thread, as many are open at the same time.
    fn open_again(&self, layer: &StoredLayer) -> io::Result<BufReader<Decoder<'static>>> {
        let blob = self.blob(layer).map_err(io::Error::other)?;
        let (compression, source) = Compression::detect(blob).map_err(io::Error::other)?;
        let decoder = Decoder::new(source, compression).map_err(io::Error::other)?;
        Ok(BufReader::with_capacity(BUFFER_BYTES, decoder))
    }

    fn blob(&self, layer: &StoredLayer) -> Result<Halting<File>> {
        let blob = self.blobs.read(&layer.descriptor.digest)?;
        Ok(self.halt.file(blob))
    }
}
