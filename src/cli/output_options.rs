//! `--output` and `--tar-path`: where an image is written besides registries, and what
//! they say of the image itself.

mod writer;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::build::BuildOptions;
use crate::image::{Annotated, Annotations, ImageFormat, LayerCompression, Reference};
use crate::output::Export;

use super::annotation_options;
use super::flags::OutputFlags;
use super::output_spec::OutputSpec;
use writer::Writer;

/// Everything that the flags ask for.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) exports: Vec<Export>,
    /// References that `--output` wants pushed.
    pub(super) pushed: Vec<Reference>,
    /// References of `--output type=image` that are names only.
    pub(super) unpushed: Vec<Reference>,
    /// Whether there is any `--output`: then nothing need be pushed.
    pub(super) is_given: bool,
    /// Whether standard output is an archive.
    pub(super) takes_standard_output: bool,
    annotations: Annotations,
    format: Option<ImageFormat>,
    compression: Option<LayerCompression>,
    compression_level: Option<u32>,
}

impl Outputs {
    /// Checks the flags. Nothing is opened but standard output, should that be wanted.
    pub(super) fn new(
        flags: &OutputFlags,
        destinations: &[Reference],
        current_dir: &Path,
    ) -> Result<Self> {
        let mut outputs = Self::default();
        let writer = Writer {
            destinations,
            current_dir,
            is_dry_run: flags.dryrun,
        };
        // An empty value is an unset one: scripts write `--tar-path=$TAR`.
        let given =
            |path: &Option<PathBuf>| path.clone().filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = given(&flags.tar_path) {
            let place = writer.place(&path, &mut outputs);
            outputs.exports.push(Export::DockerTar {
                place: place.context("cannot use --tar-path")?,
                names: destinations.to_vec(),
                names_unnamed: true,
            });
        }
        for text in flags.output.iter().filter(|text| !text.is_empty()) {
            outputs.is_given = true;
            let added = OutputSpec::parse(text).and_then(|spec| writer.add(spec, &mut outputs));
            added.with_context(|| format!("cannot use `--output {text}`"))?;
        }
        let said = annotation_options::annotations(&flags.annotation, Annotated::Manifest)?;
        outputs.annotations.extend(said);
        Ok(outputs)
    }

    /// Says in the build's options what the image is to be like. What `--compression` and its like say must agree.
    /// Returns what the user should know.
    pub(super) fn apply(
        &self,
        flags: &OutputFlags,
        build: &mut BuildOptions,
    ) -> Result<Option<&'static str>> {
        let makes_index = build.makes_index()?;
        annotation_options::check(&self.annotations, &build.platforms, makes_index)?;
        build.annotations.clone_from(&self.annotations);
        if makes_index && self.has_docker_tar() {
            let flag = match flags.tar_path {
                Some(_) => "--tar-path",
                None => "--output type=docker",
            };
            bail!(
                "{flag} is for one image, and this build makes an index of images, which an archive of `docker save` cannot \
                 hold: write it with --output type=oci,dest=FILE or --oci-layout-path, or build for one platform at a time"
            );
        }
        if let Some(format) = self.format {
            let is_other = flags.image_format.is_some() && build.format != format;
            refuse_if(is_other, "--image-format", "`oci-mediatypes`")?;
            build.format = format;
        }
        if let Some(compression) = self.compression {
            let is_other = flags.compression.is_some() && build.compression != compression;
            refuse_if(is_other, "--compression", "`compression`")?;
            build.compression = compression;
        }
        if let Some(level) = self.compression_level {
            let known = build.compression_level.is_some_and(|known| known != level);
            refuse_if(known, "--compression-level", "`compression-level`")?;
            build.compression_level = Some(level);
        }
        if build.format == ImageFormat::Docker && self.annotations.need_oci() {
            bail!(
                "annotations of an index or a descriptor need OCI's media types: Docker's have no place for them, \
                 so leave out --image-format=docker and oci-mediatypes=false"
            );
        }
        // Docker's family has no such media type; kaniko's fork falls back in the same way.
        let is_mixed =
            build.format == ImageFormat::Docker && build.compression == LayerCompression::Zstd;
        if is_mixed {
            build.compression = LayerCompression::Gzip;
            return Ok(Some(
                "--compression=zstd has no effect with --image-format=docker, which has no media type for it: layers are gzip",
            ));
        }
        if self.has_docker_tar() && build.compression == LayerCompression::Zstd {
            return Ok(Some(
                "layers are zstd: Docker before 23 cannot load them from a tar",
            ));
        }
        Ok(None)
    }

    fn has_docker_tar(&self) -> bool {
        let mut exports = self.exports.iter();
        exports.any(|export| matches!(export, Export::DockerTar { .. }))
    }
}

fn refuse_if(differs: bool, flag: &str, key: &str) -> Result<()> {
    if differs {
        bail!(
            "{flag} and the {key} of --output contradict each other: layers are made once for all outputs"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::flags::ExecutorFlags;
    use super::*;

    fn read(arguments: &[&str]) -> Result<Outputs> {
        let arguments = ["executor"].iter().chain(arguments);
        let flags = ExecutorFlags::try_parse_from(arguments)?;
        let destinations = [Reference::parse("registry.example/app:1").unwrap()];
        Outputs::new(&flags.output, &destinations, Path::new("/job"))
    }

    #[test]
    fn outputs_have_paths_of_the_current_directory_and_names_of_the_destinations() {
        let outputs = read(&[
            "-o",
            "type=oci,dest=a.tar",
            "--output=out",
            "--tar-path",
            "b.tar",
        ]);
        let exports = outputs.unwrap().exports;
        let [
            Export::DockerTar { place: docker, .. },
            Export::LayoutTar { place: oci, names },
            Export::Files { dir: files, .. },
        ] = &exports[..]
        else {
            panic!("{exports:?}");
        };
        assert_eq!(docker.to_string(), "`/job/b.tar`");
        assert_eq!(oci.to_string(), "`/job/a.tar`");
        assert_eq!(files, Path::new("/job/out"));
        assert_eq!(names[0].to_string(), "registry.example/app:1");
    }

    #[test]
    fn what_is_named_is_pushed_if_that_is_asked_for() {
        let outputs = read(&[
            r#"--output=type=image,"name=a:1,b:2",push=true"#,
            "--output=type=registry,name=c",
            "--output=type=image,name=d",
        ])
        .unwrap();
        let names =
            |names: &[Reference]| names.iter().map(Reference::to_string).collect::<Vec<_>>();
        let pushed = [
            "docker.io/library/a:1",
            "docker.io/library/b:2",
            "docker.io/library/c:latest",
        ];
        assert_eq!(names(&outputs.pushed), pushed);
        assert_eq!(names(&outputs.unpushed), ["docker.io/library/d:latest"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let cases: [(&[&str], &str); 11] = [
            (&["-o", "type=local"], "dest=DIR"),
            (&["-o", "type=local,dest=-"], "standard output"),
            (&["-o", "type=docker"], "dest=FILE"),
            (&["-o", "type=docker,dest=x,tar=false"], "tar=false"),
            (
                &["-o", "type=local,dest=x,platform-split=maybe"],
                "platform-split",
            ),
            (
                &["-o", "type=oci,dest=x,force-compression=true"],
                "force-compression",
            ),
            (&["-o", "type=oci,dest=x,compression=estargz"], "estargz"),
            (
                &["-o", "type=oci,dest=x,rewrite-timestamp=true"],
                "rewrite-timestamp",
            ),
            (
                &["-o", "type=image,name=a,push-by-digest=true"],
                "push-by-digest",
            ),
            (&["-o", "type=image,name=A"], "lower case"),
            (
                &[
                    "-o",
                    "type=oci,dest=x,compression=zstd",
                    "-o",
                    "type=docker,dest=y,compression=gzip",
                ],
                "differs",
            ),
        ];
        for (arguments, part) in cases {
            let error = format!("{:#}", read(arguments).unwrap_err());
            assert!(error.contains(part), "{arguments:?}: {error}");
        }
        let twice = read(&["--dryrun", "--tar-path=-", "-o", "-"]).unwrap_err();
        assert!(format!("{twice:#}").contains("only one"), "{twice:#}");
    }
}
