//! One `--output`, from words to what is written and what is pushed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::image::{ImageFormat, LayerCompression, Reference};
use crate::output::{ArchivePlace, Export};

use super::Outputs;
use crate::cli::annotation_options::{self, output_annotation};
use crate::cli::environment::{self, absolute};
use crate::cli::output_spec::{OutputKind, OutputSpec};

/// Whether the files of each platform have a directory of their own.
const SPLIT: &str = "platform-split";

/// What means standard output.
const STANDARD_OUTPUT: &str = "-";

/// Its other names.
const STANDARD_OUTPUTS: [&str; 4] = [
    STANDARD_OUTPUT,
    "/dev/stdout",
    "/dev/fd/1",
    "/proc/self/fd/1",
];

/// What each `--output` is read with.
pub(super) struct Writer<'a> {
    pub(super) destinations: &'a [Reference],
    pub(super) current_dir: &'a Path,
    pub(super) is_dry_run: bool,
}

impl Writer<'_> {
    /// Adds what one `--output` asks for.
    pub(super) fn add(&self, mut spec: OutputSpec, outputs: &mut Outputs) -> Result<()> {
        match spec.kind {
            OutputKind::Local => {
                let dest = spec.take("dest").context("it needs dest=DIR")?;
                if dest == STANDARD_OUTPUT {
                    bail!("a directory cannot go to standard output");
                }
                let dir = absolute(dest.as_ref(), self.current_dir);
                outputs.exports.push(Export::Files {
                    dir,
                    split: spec.take_bool(SPLIT)?,
                });
            }
            OutputKind::Tar => {
                let place = self.dest(&mut spec, outputs)?;
                outputs.exports.push(Export::FilesTar {
                    place,
                    split: spec.take_bool(SPLIT)?,
                });
            }
            OutputKind::Oci => {
                let names = self.names(&mut spec)?;
                let export = match spec.take_bool("tar")? {
                    Some(false) => Export::NamedLayout {
                        dir: self.dir(&mut spec)?,
                        names,
                    },
                    Some(true) | None => Export::LayoutTar {
                        place: self.dest(&mut spec, outputs)?,
                        names,
                    },
                };
                self.image_keys(&mut spec, outputs)?;
                outputs.exports.push(export);
            }
            OutputKind::Docker => {
                let names = self.names(&mut spec)?;
                if spec.take_bool("tar")? == Some(false) {
                    bail!("not supported: `tar=false` with type=docker; type=oci has it");
                }
                let dest = spec.take("dest");
                let dest =
                    dest.context("there is no Docker daemon to load it into: give dest=FILE")?;
                self.image_keys(&mut spec, outputs)?;
                let place = self.place(dest.as_ref(), outputs)?;
                outputs.exports.push(Export::DockerTar {
                    place,
                    names,
                    names_unnamed: false,
                });
            }
            OutputKind::Image | OutputKind::Registry => self.add_references(&mut spec, outputs)?,
            OutputKind::CacheOnly => {}
        }
        spec.finish()
    }

    /// Adds what is to be pushed, or only named.
    fn add_references(&self, spec: &mut OutputSpec, outputs: &mut Outputs) -> Result<()> {
        let is_pushed = match spec.kind {
            OutputKind::Registry => spec.take_bool("push")?.unwrap_or(true),
            OutputKind::Image
            | OutputKind::Local
            | OutputKind::Tar
            | OutputKind::Oci
            | OutputKind::Docker
            | OutputKind::CacheOnly => spec.take_bool("push")?.unwrap_or(false),
        };
        let names = match spec.take("name") {
            Some(names) => references(&names)?,
            None if !self.destinations.is_empty() => Vec::new(),
            None => bail!("it needs name=REFERENCE, or a --destination"),
        };
        self.image_keys(spec, outputs)?;
        match is_pushed {
            true => outputs.pushed.extend(names),
            false => outputs.unpushed.extend(names),
        }
        Ok(())
    }

    /// Takes the keys that say what the image is like.
    fn image_keys(&self, spec: &mut OutputSpec, outputs: &mut Outputs) -> Result<()> {
        for (place, value) in spec.take_all(output_annotation)? {
            annotation_options::add(&mut outputs.annotations, &place, &value);
        }
        if let Some(is_oci) = spec.take_bool("oci-mediatypes")? {
            let format = match is_oci {
                true => ImageFormat::Oci,
                false => ImageFormat::Docker,
            };
            agree(&mut outputs.format, format, "oci-mediatypes")?;
        }
        if let Some(name) = spec.take("compression") {
            let compression = match name.as_str() {
                "gzip" => LayerCompression::Gzip,
                "zstd" => LayerCompression::Zstd,
                other => bail!("not supported: `compression={other}`, only gzip and zstd"),
            };
            agree(&mut outputs.compression, compression, "compression")?;
        }
        if let Some(text) = spec.take("compression-level") {
            let level = text.parse();
            let level = level.with_context(|| format!("`compression-level` is `{text}`"))?;
            agree(&mut outputs.compression_level, level, "compression-level")?;
        }
        if spec.take_bool("force-compression")? == Some(true) {
            bail!("not supported: `force-compression`: layers of the base stay as they are");
        }
        Ok(())
    }

    /// Returns what the image is called: what the output says, else the destinations.
    fn names(&self, spec: &mut OutputSpec) -> Result<Vec<Reference>> {
        match spec.take("name") {
            Some(names) => references(&names),
            None => Ok(self.destinations.to_vec()),
        }
    }

    fn dir(&self, spec: &mut OutputSpec) -> Result<PathBuf> {
        let dest = spec.take("dest").filter(|dest| dest != STANDARD_OUTPUT);
        let dest = dest.context("it needs dest=DIR")?;
        Ok(absolute(dest.as_ref(), self.current_dir))
    }

    /// Returns where a tar goes; to standard output where nothing is said.
    fn dest(&self, spec: &mut OutputSpec, outputs: &mut Outputs) -> Result<ArchivePlace> {
        let dest = spec.take("dest");
        let dest = dest.as_deref().unwrap_or(STANDARD_OUTPUT);
        self.place(dest.as_ref(), outputs)
    }

    /// Returns where a path is written; `-` and its like are standard output, for one output only.
    pub(super) fn place(&self, path: &Path, outputs: &mut Outputs) -> Result<ArchivePlace> {
        // RUN must not write there, whatever its name.
        if !STANDARD_OUTPUTS.iter().any(|name| path == Path::new(name)) {
            return Ok(ArchivePlace::File(absolute(path, self.current_dir)));
        }
        if outputs.takes_standard_output {
            bail!("only one output can go to standard output");
        }
        outputs.takes_standard_output = true;
        if self.is_dry_run {
            // It is where the plan goes; nothing is written.
            return Ok(ArchivePlace::File(PathBuf::from("/dev/null")));
        }
        let stream = environment::standard_output()?;
        Ok(ArchivePlace::StandardOutput(Arc::new(stream)))
    }
}

/// Layers are made once, and so is the manifest: outputs cannot differ in them.
fn agree<T: PartialEq>(known: &mut Option<T>, wanted: T, key: &str) -> Result<()> {
    if known.as_ref().is_some_and(|known| *known != wanted) {
        bail!(
            "`{key}` differs from that of another --output: layers are made once for all outputs"
        );
    }
    *known = Some(wanted);
    Ok(())
}

fn references(names: &str) -> Result<Vec<Reference>> {
    let names = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(tagged_reference).collect()
}

/// Reads what an image is pushed to or called.
fn tagged_reference(text: &str) -> Result<Reference> {
    let reference = Reference::parse(text)?;
    if reference.digest().is_some() {
        bail!("`{text}`: an image is pushed to a tag, not to a digest");
    }
    Ok(reference)
}
