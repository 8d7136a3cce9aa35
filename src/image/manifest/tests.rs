use super::*;
use crate::image::{Digest, LayerCompression};

const OCI: MediaType = MediaType::Manifest(ImageFormat::Oci);

fn entry(platform: Option<&str>, content: &str) -> Descriptor {
    Descriptor {
        platform: platform.map(|text| {
            let mut parts = text.split('/');
            let mut part = || parts.next().map(str::to_owned);
            Platform {
                os: part().unwrap_or_default(),
                architecture: part().unwrap_or_default(),
                variant: part(),
                os_version: None,
                os_features: Vec::new(),
            }
        }),
        ..Descriptor::of(OCI, content.as_bytes())
    }
}

fn index(manifests: Vec<Descriptor>) -> Index {
    Index::new(ImageFormat::Oci, manifests)
}

fn chosen(index: &Index, platform: &str) -> Option<Digest> {
    let wanted = Platform::parse(platform).unwrap();
    index
        .manifest_for(&wanted)
        .ok()
        .map(|entry| entry.digest.clone())
}

#[test]
fn the_first_of_equal_matches_wins() {
    let index = index(vec![
        entry(Some("linux/arm64"), "other"),
        entry(Some("linux/amd64"), "first"),
        entry(Some("linux/amd64"), "second"),
    ]);
    assert_eq!(chosen(&index, "linux/amd64"), Some(Digest::of(b"first")));
}

#[test]
fn the_best_variant_wins_over_an_earlier_older_one() {
    let index = index(vec![
        entry(Some("linux/arm/v5"), "v5"),
        entry(Some("linux/arm/v6"), "v6"),
        entry(Some("linux/arm/v7"), "v7"),
    ]);
    assert_eq!(chosen(&index, "linux/arm/v7"), Some(Digest::of(b"v7")));
    assert_eq!(chosen(&index, "linux/arm/v6"), Some(Digest::of(b"v6")));
    assert_eq!(chosen(&index, "linux/arm/v8"), Some(Digest::of(b"v7")));
}

#[test]
fn attestations_and_unknown_media_types_are_never_chosen() {
    let mut foreign = entry(Some("linux/amd64"), "artifact");
    foreign.media_type = MediaType::Other("application/x".into());
    let index = index(vec![foreign, entry(Some("unknown/unknown"), "attestation")]);
    let error = index
        .manifest_for(&Platform::new("linux", "amd64"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no image for platform `linux/amd64`, only for none"
    );
}

#[test]
fn a_missing_platform_is_an_error_that_lists_those_present() {
    let index = index(vec![
        entry(Some("linux/arm64/v8"), "a"),
        entry(Some("linux/s390x"), "b"),
        entry(Some("unknown/unknown"), "c"),
    ]);
    let error = index
        .manifest_for(&Platform::new("linux", "amd64"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no image for platform `linux/amd64`, only for `linux/arm64/v8`, `linux/s390x`"
    );
}

#[test]
fn an_only_entry_without_platform_is_taken_and_two_are_not() {
    assert_eq!(
        chosen(&index(vec![entry(None, "only")]), "linux/amd64"),
        Some(Digest::of(b"only"))
    );
    let two = index(vec![entry(None, "one"), entry(None, "two")]);
    assert_eq!(chosen(&two, "linux/amd64"), None);
}

fn image_json(media_type: &str) -> Vec<u8> {
    let config = Digest::of(b"config");
    format!(
        r#"{{"schemaVersion":2,{media_type}"config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":6}},"layers":null}}"#
    )
    .into_bytes()
}

#[test]
fn the_content_type_must_agree_with_the_document() {
    let bytes = image_json(r#""mediaType":"application/vnd.oci.image.manifest.v1+json","#);
    assert!(matches!(
        ManifestDocument::parse(&bytes, Some(&OCI)),
        Ok(ManifestDocument::Image(_))
    ));
    let docker = MediaType::Manifest(ImageFormat::Docker);
    let error = ManifestDocument::parse(&bytes, Some(&docker)).unwrap_err();
    assert!(
        matches!(error, ManifestError::TypeMismatch { .. }),
        "{error}"
    );
}

#[test]
fn a_content_type_that_says_nothing_leaves_it_to_the_document() {
    let json = MediaType::parse("application/json");
    assert!(matches!(
        ManifestDocument::parse(&image_json(""), Some(&json)),
        Ok(ManifestDocument::Image(_))
    ));
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    assert!(matches!(
        ManifestDocument::parse(bytes, None),
        Ok(ManifestDocument::Index(_))
    ));
}

#[test]
fn hostile_and_foreign_documents_are_refused() {
    let ambiguous = br#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
    assert!(matches!(
        ManifestDocument::parse(ambiguous, None),
        Err(ManifestError::Ambiguous)
    ));
    let schema1 = br#"{"schemaVersion":1,"fsLayers":[]}"#;
    assert!(matches!(
        ManifestDocument::parse(schema1, None),
        Err(ManifestError::Schema1)
    ));
    let huge = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert!(matches!(
        ManifestDocument::parse(&huge, None),
        Err(ManifestError::TooLarge)
    ));
    let deep = format!(r#"{{"manifests":{}"#, "[".repeat(1_000_000)).into_bytes();
    assert!(matches!(
        ManifestDocument::parse(&deep, None),
        Err(ManifestError::Json(_))
    ));
    assert!(matches!(
        ManifestDocument::parse(b"{}", None),
        Err(ManifestError::Unrecognised)
    ));
}

#[test]
fn a_manifest_is_of_one_family_only() {
    let config = Descriptor::of(MediaType::Config(ImageFormat::Oci), b"{}");
    let layers = [
        Descriptor::of(
            MediaType::layer(ImageFormat::Docker, LayerCompression::Gzip),
            b"base",
        ),
        Descriptor::of(
            MediaType::layer(ImageFormat::Oci, LayerCompression::Zstd),
            b"ours",
        ),
    ];
    for format in [ImageFormat::Oci, ImageFormat::Docker] {
        let manifest = Manifest::new(format, &config, &layers);
        let parts = manifest.layers.iter().chain([&manifest.config]);
        for part in parts {
            assert_eq!(part.media_type.format(), Some(format));
        }
        assert_eq!(manifest.layers[0].digest, layers[0].digest);
    }
}

#[test]
fn another_reader_of_the_specification_reads_what_we_write() {
    let config = Descriptor::of(MediaType::Config(ImageFormat::Oci), b"{}");
    let layer = Descriptor::of(
        MediaType::layer(ImageFormat::Oci, LayerCompression::Gzip),
        b"layer",
    );
    let mut manifest = Manifest::new(ImageFormat::Oci, &config, &[layer]);
    manifest.annotations.insert("b".into(), "2".into());
    manifest.annotations.insert("a".into(), "1".into());
    let bytes = manifest.to_json().unwrap();
    let theirs: oci_spec::image::ImageManifest = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(theirs.layers()[0].size(), 5);
    assert_eq!(theirs.annotations().as_ref().map(|map| map.len()), Some(2));
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.find("\"a\"").unwrap() < text.find("\"b\"").unwrap());
}
