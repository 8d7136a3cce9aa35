//! The files that tell other programs what was built: BuildKit's metadata, the image's ID, variables for
//! GitLab, and what Google Cloud Build reads.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::image::{AssembledImage, Descriptor, Digest, ImageConfig, Reference};

use super::DeliveryOptions;
use super::digest_files::write_file;
use super::finished::Finished;

/// What was delivered.
#[derive(Debug, Clone)]
pub(super) struct Delivered {
    /// Manifest or index, with its platform if it has one.
    descriptor: Descriptor,
    /// The config's digest: the image's ID. `None` for an index.
    id: Option<Digest>,
}

impl Delivered {
    /// Describes an image or an index.
    pub(super) fn of(finished: &Finished) -> Result<Self> {
        match finished {
            Finished::Image(image) => Self::of_image(image),
            Finished::Index(index) => Ok(Self::without_id(&index.descriptor)),
        }
    }

    fn of_image(image: &AssembledImage) -> Result<Self> {
        let config = ImageConfig::parse(&image.config).context("cannot read our own config")?;
        Ok(Self {
            descriptor: Descriptor {
                platform: Some(config.platform()),
                ..image.manifest_descriptor.clone()
            },
            id: Some(image.config_descriptor.digest.clone()),
        })
    }

    /// Describes an index, or something whose config is not at hand.
    pub(super) fn without_id(descriptor: &Descriptor) -> Self {
        Self {
            descriptor: descriptor.clone(),
            id: None,
        }
    }

    fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }
}

/// Writes the files that were asked for. Each is complete or not there.
pub(super) fn write_result_files(options: &DeliveryOptions, image: &Delivered) -> Result<()> {
    if let Some(path) = &options.metadata_file {
        let metadata = metadata(options, image)?;
        write_file(path, &format!("{metadata:#}"))?;
    }
    if let Some(path) = &options.image_id_file {
        // As buildx (commands/build.go): an index has no other.
        let id = image.id.as_ref().unwrap_or(image.digest());
        write_file(path, id.as_str())?;
    }
    if let Some(path) = &options.dotenv_file {
        write_file(path, &variables(options, image))?;
    }
    if let Some(dir) = options.builder_output.as_ref().filter(|_| options.push) {
        write_file(&dir.join("images"), &pushed_images(options, image))?;
    }
    Ok(())
}

/// Returns what BuildKit tells of a build, under its keys (exporter/containerimage/exptypes). The descriptor's annotations
/// are those that were asked for, of descriptors.
fn metadata(options: &DeliveryOptions, image: &Delivered) -> Result<Value> {
    let mut metadata = Map::new();
    let mut tell = |key: &str, value: Value| metadata.insert(key.to_owned(), value);
    if let Some(id) = &image.id {
        tell("containerimage.config.digest", json!(id.as_str()));
    }
    tell(
        "containerimage.descriptor",
        serde_json::to_value(&image.descriptor)?,
    );
    tell("containerimage.digest", json!(image.digest().as_str()));
    if !options.destinations.is_empty() {
        let names: Vec<String> = options
            .destinations
            .iter()
            .map(Reference::to_string)
            .collect();
        tell("image.name", json!(names.join(",")));
    }
    Ok(Value::Object(metadata))
}

/// Returns `VARIABLE=VALUE` lines as GitLab reads them (docs.gitlab.com, `artifacts:reports:dotenv`): no
/// quotes, no blanks at the ends, one line each. No value here can have any of that. Of several
/// destinations they tell the first.
fn variables(options: &DeliveryOptions, image: &Delivered) -> String {
    let digest = image.digest();
    let mut lines = format!("IMAGE_DIGEST={digest}\n");
    if let Some(id) = &image.id {
        lines.push_str(&format!("IMAGE_ID={id}\n"));
    }
    if let Some(first) = options.destinations.first() {
        let (name, tag) = (first.name(), first.tag().unwrap_or_default());
        lines.push_str(&format!("IMAGE_NAME={name}\nIMAGE_TAG={tag}\n"));
        lines.push_str(&format!("IMAGE_REF={name}:{tag}@{digest}\n"));
    }
    lines
}

/// Returns one JSON object for each destination, as kaniko does for Google Cloud Build.
fn pushed_images(options: &DeliveryOptions, image: &Delivered) -> String {
    let line = |destination: &Reference| {
        let name = destination.name_in_digest_files();
        let tag = destination.tag().unwrap_or_default();
        let name = json!(format!("{name}:{tag}"));
        format!("{{\"name\":{name},\"digest\":\"{}\"}}\n", image.digest())
    };
    options.destinations.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::image::{
        Annotations, AssembledIndex, ImageAnnotations, ImageFormat, MediaType, Platform,
    };

    fn image() -> AssembledImage {
        let config = ImageConfig::scratch(&Platform::new("linux", "arm64"));
        let annotations = ImageAnnotations {
            manifest: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            ..ImageAnnotations::default()
        };
        AssembledImage::new(&config, Vec::new(), ImageFormat::Oci, &annotations).unwrap()
    }

    fn options(dir: &Path, destinations: &[&str]) -> DeliveryOptions {
        let parse = |name: &&str| Reference::parse(name).unwrap();
        DeliveryOptions {
            destinations: destinations.iter().map(parse).collect(),
            push: true,
            metadata_file: Some(dir.join("metadata")),
            image_id_file: Some(dir.join("id")),
            dotenv_file: Some(dir.join("variables")),
            builder_output: Some(dir.join("output")),
            ..DeliveryOptions::default()
        }
    }

    #[test]
    fn each_file_has_its_form() {
        let temp = tempfile::tempdir().unwrap();
        let image = image();
        let options = options(temp.path(), &["busybox", "localhost:5000/team/app:1.0"]);
        write_result_files(&options, &Delivered::of_image(&image).unwrap()).unwrap();
        let read = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        let (digest, id) = (image.digest(), &image.config_descriptor.digest);
        assert_eq!(read("id"), id.to_string());
        assert_eq!(
            read("variables"),
            format!(
                "IMAGE_DIGEST={digest}\nIMAGE_ID={id}\nIMAGE_NAME=docker.io/library/busybox\nIMAGE_TAG=latest\n\
                 IMAGE_REF=docker.io/library/busybox:latest@{digest}\n"
            )
        );
        assert_eq!(
            read("output/images"),
            format!(
                "{{\"name\":\"index.docker.io/library/busybox:latest\",\"digest\":\"{digest}\"}}\n\
                 {{\"name\":\"localhost:5000/team/app:1.0\",\"digest\":\"{digest}\"}}\n"
            )
        );
        let metadata: Value = serde_json::from_str(&read("metadata")).unwrap();
        let expected = json!({
            "containerimage.config.digest": id.as_str(),
            "containerimage.descriptor": {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest.as_str(),
                "size": image.manifest.len(),
                "platform": {"architecture": "arm64", "os": "linux"},
            },
            "containerimage.digest": digest.as_str(),
            "image.name": "docker.io/library/busybox:latest,localhost:5000/team/app:1.0",
        });
        assert_eq!(metadata, expected);
    }

    #[test]
    fn of_an_index_they_tell_its_own_digest() {
        let temp = tempfile::tempdir().unwrap();
        let mut annotations = Annotations::default();
        annotations
            .index_descriptor
            .insert("c".to_owned(), "d".to_owned());
        let images = vec![(Platform::new("linux", "arm64"), image())];
        let index = AssembledIndex::new(ImageFormat::Oci, &annotations, images).unwrap();
        let (digest, size) = (index.digest().clone(), index.bytes.len());
        let delivered = Delivered::of(&index.into()).unwrap();
        write_result_files(&options(temp.path(), &["busybox"]), &delivered).unwrap();
        let read = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        assert_eq!(read("id"), digest.to_string());
        assert!(!read("variables").contains("IMAGE_ID"));
        let metadata: Value = serde_json::from_str(&read("metadata")).unwrap();
        let expected = json!({
            "containerimage.descriptor": {
                "mediaType": MediaType::Index(ImageFormat::Oci).as_str(),
                "digest": digest.as_str(),
                "size": size,
                "annotations": {"c": "d"},
            },
            "containerimage.digest": digest.as_str(),
            "image.name": "docker.io/library/busybox:latest",
        });
        assert_eq!(metadata, expected);
    }

    #[test]
    fn what_nobody_named_has_no_name_and_what_was_not_pushed_is_not_listed() {
        let temp = tempfile::tempdir().unwrap();
        let options = DeliveryOptions {
            push: false,
            ..options(temp.path(), &[])
        };
        write_result_files(&options, &Delivered::of_image(&image()).unwrap()).unwrap();
        let read = |name: &str| std::fs::read_to_string(temp.path().join(name)).unwrap();
        assert!(!read("metadata").contains("image.name"));
        assert_eq!(read("variables").lines().count(), 2);
        assert!(!temp.path().join("output").exists());
    }
}
