//! ADD: as COPY, and local archives are unpacked.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Result;

use crate::dockerfile::{AddInstruction, Span};
use crate::fs::{Root, create_dir_all};
use crate::image::archive;
use crate::image::decompress::{Compression, Decoder, Decompressor};
use crate::image::unpack::{Form, UnpackOptions, unpack};

use super::copy::{Looks, Origin, as_destination, history};
use super::plan::{FileSource, PlannedStep};
use super::stage::StageBuilder;

/// Mode of the directory that an archive is unpacked into, where it does not exist.
const UNPACK_DIR_MODE: u32 = 0o755;

impl StageBuilder<'_> {
    /// Executes an ADD.
    pub(super) fn add(&mut self, instruction: &AddInstruction, step: &PlannedStep) -> Result<()> {
        let span = step.span;
        let created_by = history(
            "ADD",
            instruction.chown.as_deref(),
            instruction.chmod.as_deref(),
            &instruction.sources,
        );
        let destination = self.destination(&instruction.sources.destination);
        self.in_step(span, created_by, |builder, step_files| {
            let target = step_files.root()?;
            let looks = builder.looks(
                target,
                instruction.chown.as_deref(),
                instruction.chmod.as_deref(),
                &instruction.exclude,
                span,
            )?;
            let unpacks = instruction.unpack.unwrap_or(true);
            builder.with_origin(&FileSource::Context, |origin| {
                for path in &instruction.sources.paths {
                    for found in builder.select(origin, path, span)? {
                        if unpacks
                            && builder.unpack_archive(
                                origin,
                                &found,
                                target,
                                &destination,
                                &looks,
                                span,
                            )?
                        {
                            continue;
                        }
                        builder.copy_one(origin, &found, target, &destination, &looks, span)?;
                    }
                }
                Ok(())
            })?;
            builder.write_inline_files(
                &instruction.sources.files,
                target,
                &destination,
                &looks,
                span,
            )
        })
    }

    /// Unpacks a source that is an archive below the destination; says whether it was one.
    fn unpack_archive(
        &self,
        origin: &Origin<'_>,
        path: &Path,
        target: &Root,
        destination: &str,
        looks: &Looks,
        span: Span,
    ) -> Result<bool> {
        if !is_archive(origin.root, path)? {
            return Ok(false);
        }
        let failed = |error: anyhow::Error| {
            let message = format!("cannot unpack `/{}` to `{destination}`", path.display());
            self.error(span, message).because(error)
        };
        let owner = looks.owner.unwrap_or((0, 0));
        let directory = as_destination(destination).path;
        let dir = create_dir_all(target, directory, UNPACK_DIR_MODE, owner)
            .map_err(|error| failed(error.into()))?;
        let file = origin
            .root
            .open_file(path)
            .map_err(|error| failed(error.into()))?;
        unpack_into(file, &Root::from_dir(dir), looks.owner).map_err(failed)?;
        Ok(true)
    }
}

/// Says whether a path is a regular file that begins, once decompressed, with a tar header.
///
/// BuildKit (`llbsolver/file/unpack.go`) and Docker (`archive.IsArchivePath`) look at the contents
/// and never at the name.
fn is_archive(root: &Root, path: &Path) -> Result<bool> {
    if !root.metadata(path)?.is_some_and(|found| found.is_file()) {
        return Ok(false);
    }
    let file = root.open_file(path)?;
    Ok(begins_with_header(file))
}

/// What cannot be decompressed is an ordinary file, not an error.
fn begins_with_header(file: File) -> bool {
    let Ok((compression, reader)) = Compression::detect(file) else {
        return false;
    };
    let Ok(decoder) = Decoder::new(BufReader::new(reader), compression) else {
        return false;
    };
    let mut head = Vec::with_capacity(archive::BLOCK_BYTES);
    let limit = archive::BLOCK_BYTES as u64;
    decoder.take(limit).read_to_end(&mut head).is_ok() && archive::is_header(&head)
}

fn unpack_into(file: File, root: &Root, owner: Option<(u32, u32)>) -> Result<()> {
    let (compression, reader) = Compression::detect(BufReader::new(file))?;
    let mut decompressor = Decompressor::spawn(reader, compression)?;
    let options = UnpackOptions {
        form: Form::Archive,
        owner,
    };
    unpack(&mut decompressor, root, &options)?;
    decompressor.finish()?;
    Ok(())
}
