//! Where a finished image goes, from words to meaning: destinations, and the files that tell of it.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use crate::image::Reference;
use crate::output::{DeliveryOptions, DigestUpload};
use crate::remote::RemoteOptions;

use super::environment::{self, absolute};
use super::flags::ExecutorFlags;
use super::output_options::Outputs;
use super::push_options::{file, push_rules, with_digest_files};

/// Checks the flags. `remote` says how the server is spoken to that the digest goes to, if it does.
pub(super) fn delivery_options(
    flags: &ExecutorFlags,
    mut destinations: Vec<Reference>,
    outputs: Outputs,
    remote: &RemoteOptions,
    current_dir: &Path,
) -> Result<DeliveryOptions> {
    let output = &flags.output;
    let mut push = !no_push(output.no_push)?;
    destinations.extend(outputs.pushed);
    if !outputs.unpushed.is_empty() {
        if push && !destinations.is_empty() {
            bail!(
                "not supported: --output type=image without push=true beside destinations that are pushed: all are pushed, or none"
            );
        }
        push = false;
        destinations.extend(outputs.unpushed);
    }
    if push && !output.dryrun && destinations.is_empty() && !outputs.is_given {
        bail!("you must provide --destination, or use --no-push");
    }
    let path = |path| file(path, current_dir);
    let place = output.digest_files.digest_file.as_deref();
    let digest_upload = place.map_or(Ok(None), |place| upload(place, remote))?;
    let options = DeliveryOptions {
        destinations,
        push,
        push_rules: push_rules(&output.push),
        exports: outputs.exports,
        oci_layout_path: path(&output.oci_layout_path),
        metadata_file: path(&output.metadata_file),
        image_id_file: path(&output.iidfile),
        dotenv_file: path(&output.dotenv_file),
        builder_output: environment::path_variable("BUILDER_OUTPUT")
            .map(|dir| absolute(&dir, current_dir)),
        ..DeliveryOptions::default()
    };
    let mut options = with_digest_files(options, &output.digest_files, current_dir);
    if digest_upload.is_some() {
        options.digest_file = None;
        options.digest_upload = digest_upload;
    }
    let names_destinations = !output.dryrun
        && (options.name_with_digest_file.is_some() || options.name_tag_with_digest_file.is_some());
    if names_destinations && options.destinations.is_empty() {
        bail!("a file with image names needs a --destination");
    }
    Ok(options)
}

/// Returns the server that `--digest-file` names. `None` where it names a file.
fn upload(place: &Path, remote: &RemoteOptions) -> Result<Option<DigestUpload>> {
    let Some(text) = place.to_str() else {
        return Ok(None);
    };
    match text.split_once("://") {
        Some(("https", _)) => {}
        Some((scheme @ ("http" | "gs" | "s3"), _)) => {
            bail!("not supported: --digest-file with {scheme}://; it takes a file or https://")
        }
        Some(_) | None => return Ok(None),
    }
    // What cannot be read may hold a password.
    let url = url::Url::parse(text).context("cannot read the URL of --digest-file")?;
    let options = remote.clone();
    Ok(Some(DigestUpload { url, options }))
}

/// kaniko's `KANIKO_NO_PUSH` overrides the flag.
fn no_push(flag: bool) -> Result<bool> {
    match environment::variable("KANIKO_NO_PUSH") {
        None => Ok(flag),
        Some(text) => super::flags::go_bool(&text)
            .map_err(|message| anyhow!("KANIKO_NO_PUSH is `{text}`: {message}")),
    }
}
