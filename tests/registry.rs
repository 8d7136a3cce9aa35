//! The registry client against the real registry server: open, with passwords, with TLS, with client certificates.

#[allow(dead_code, reason = "other tests use the rest")]
mod registry_server;

use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use registry_server::{Certificates, Server};
use sawagani::image::{
    Descriptor, Digest, ImageConfig, ImageFormat, Index, LayerCompression, Manifest, MediaType,
    Platform, Reference,
};
use sawagani::registry::options::{ClientCertificate, RegistryOptions, RetryPolicy};
use sawagani::registry::push::{BlobDelivery, BlobSource, ManifestDelivery};
use sawagani::registry::{DockerConfig, ErrorKind, Keychain, Purpose, Registries, Repository};
use tokio::io::AsyncReadExt;

/// Larger than any buffer on the way, and with no two equal blocks.
const LAYER_BYTES: u64 = 20_000_003;

fn options() -> RegistryOptions {
    RegistryOptions {
        retry: RetryPolicy {
            retries: 1,
            ..RetryPolicy::default()
        },
        ..RegistryOptions::default()
    }
}

fn repository(server: &Server, name: &str, options: RegistryOptions) -> Repository {
    let reference = Reference::parse(&format!("{}/{name}", server.host())).unwrap();
    Registries::new(options)
        .repository(&reference, Purpose::Push)
        .unwrap()
}

/// A layer in a file. The content means nothing: a registry does not look.
fn layer() -> (tempfile::NamedTempFile, Descriptor) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut state = 1_u64;
    let content: Vec<u8> = (0..LAYER_BYTES)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    file.write_all(&content).unwrap();
    let media_type = MediaType::layer(ImageFormat::Oci, LayerCompression::Gzip);
    (file, Descriptor::of(media_type, &content))
}

struct Pushed {
    deliveries: [BlobDelivery; 2],
    manifest: Descriptor,
    layer: Descriptor,
}

/// Pushes an image of one layer; `mount_from` is where the layer may be already.
async fn push_image(repository: &Repository, tag: &str, mount_from: Option<&str>) -> Pushed {
    let (file, layer) = layer();
    let source = BlobSource::File(file.path().to_owned());
    let layer_delivery = repository
        .push_blob(&layer, &source, mount_from)
        .await
        .unwrap();
    let config = Bytes::from(
        ImageConfig::scratch(&Platform::new("linux", "amd64"))
            .to_json()
            .unwrap(),
    );
    let config_descriptor = Descriptor::of(MediaType::Config(ImageFormat::Oci), &config);
    let source = BlobSource::Bytes(config);
    let config_delivery = repository
        .push_blob(&config_descriptor, &source, None)
        .await
        .unwrap();
    let manifest = Manifest::new(
        ImageFormat::Oci,
        &config_descriptor,
        std::slice::from_ref(&layer),
    );
    let bytes = Bytes::from(manifest.to_json().unwrap());
    let media_type = MediaType::Manifest(ImageFormat::Oci);
    let written = repository
        .put_manifest(tag, &media_type, &bytes)
        .await
        .unwrap();
    assert_eq!(written, ManifestDelivery::Written);
    Pushed {
        deliveries: [layer_delivery, config_delivery],
        manifest: Descriptor::of(media_type, &bytes),
        layer,
    }
}

#[tokio::test]
async fn an_image_comes_back_as_it_was_pushed() {
    let server = Server::start("").await;
    let repository = repository(&server, "group/app", options());
    let pushed = push_image(&repository, "v1", None).await;
    assert_eq!(pushed.deliveries, [BlobDelivery::Uploaded; 2]);

    assert_eq!(repository.resolve("v1").await.unwrap(), pushed.manifest);
    let image = repository
        .fetch_image("v1", &Platform::new("linux", "amd64"))
        .await
        .unwrap();
    assert_eq!(image.descriptor, pushed.manifest);
    let config = repository
        .fetch_config(&image.manifest.config)
        .await
        .unwrap();
    assert_eq!(
        config,
        ImageConfig::scratch(&Platform::new("linux", "amd64"))
    );
    let mut stream = repository
        .open_blob(&pushed.layer)
        .await
        .unwrap()
        .into_async_read();
    let mut content = Vec::new();
    stream.read_to_end(&mut content).await.unwrap();
    assert_eq!(Digest::of(&content), pushed.layer.digest);
}

#[tokio::test]
async fn pushed_again_nothing_is_sent_and_next_door_the_layer_is_mounted() {
    let server = Server::start("").await;
    let app = repository(&server, "app", options());
    push_image(&app, "v1", None).await;
    let again = push_image(&app, "v2", None).await;
    assert_eq!(again.deliveries, [BlobDelivery::AlreadyThere; 2]);
    let other = repository(&server, "group/other", options());
    let mounted = push_image(&other, "v1", Some("app")).await;
    assert_eq!(
        mounted.deliveries,
        [BlobDelivery::Mounted, BlobDelivery::Uploaded]
    );
    let unmountable = repository(&server, "third", options());
    let sent = push_image(&unmountable, "v1", Some("nowhere")).await;
    assert_eq!(sent.deliveries, [BlobDelivery::Uploaded; 2]);
}

#[tokio::test]
async fn an_index_gives_the_image_for_the_platform() {
    let server = Server::start("").await;
    let repository = repository(&server, "app", options());
    let pushed = push_image(&repository, "amd64", None).await;
    let listed = Descriptor {
        platform: Some(Platform::new("linux", "amd64")),
        ..pushed.manifest.clone()
    };
    let index = Bytes::from(
        Index::new(ImageFormat::Oci, vec![listed])
            .to_json()
            .unwrap(),
    );
    repository
        .put_manifest("v1", &MediaType::Index(ImageFormat::Oci), &index)
        .await
        .unwrap();
    let image = repository
        .fetch_image("v1", &Platform::new("linux", "amd64"))
        .await
        .unwrap();
    assert_eq!(image.descriptor.digest, pushed.manifest.digest);
    assert_eq!(image.index.unwrap().digest, Digest::of(&index));
    let error = repository
        .fetch_image("v1", &Platform::new("linux", "arm64"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoPlatform);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::start("").await;
    let repository = repository(&server, "app", options());
    let missing = repository.resolve("v1").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let fetched = repository.fetch_manifest("v1").await.unwrap_err();
    assert!(
        fetched.to_string().contains("MANIFEST_UNKNOWN"),
        "{fetched}"
    );
    let (_, layer) = layer();
    assert!(!repository.has_blob(&layer).await.unwrap());
    assert_eq!(
        repository.open_blob(&layer).await.unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn a_manifest_without_its_blobs_is_refused_in_the_registrys_words() {
    let server = Server::start("").await;
    let repository = repository(&server, "app", options());
    let config = Descriptor::of(MediaType::Config(ImageFormat::Oci), b"{}");
    let bytes = Bytes::from(
        Manifest::new(ImageFormat::Oci, &config, &[])
            .to_json()
            .unwrap(),
    );
    let media_type = MediaType::Manifest(ImageFormat::Oci);
    let error = repository
        .put_manifest("v1", &media_type, &bytes)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("MANIFEST_BLOB_UNKNOWN"),
        "{error}"
    );
}

fn login(server: &Server, password: &str) -> RegistryOptions {
    let auths = format!(
        r#"{{"auths":{{"{}":{{"username":"ci","password":"{password}"}}}}}}"#,
        server.host()
    );
    RegistryOptions {
        keychain: Keychain::new(vec![DockerConfig::parse(&auths, "config.json").unwrap()]),
        ..options()
    }
}

#[tokio::test]
async fn a_password_opens_the_door_and_a_wrong_one_is_told() {
    let server = Server::start_with_password("ci", "secret").await;
    let welcome = repository(&server, "app", login(&server, "secret"));
    welcome.check_push_access().await.unwrap();
    push_image(&welcome, "v1", None).await;
    let stranger = repository(&server, "app", login(&server, "wrong"));
    let error = stranger.check_push_access().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(error.credentials_tried(), ["config.json: user `ci`"]);
    let nobody = repository(&server, "app", options());
    assert_eq!(
        nobody.resolve("v1").await.unwrap_err().kind(),
        ErrorKind::Unauthorized
    );
}

fn trusting(server: &Server, ca: PathBuf) -> RegistryOptions {
    RegistryOptions {
        registry_certificates: [(server.host(), vec![ca])].into(),
        ..options()
    }
}

#[tokio::test]
async fn a_private_ca_is_trusted_where_it_is_named() {
    let certificates = Certificates::make();
    let server = Server::start(&certificates.server_settings(false)).await;
    push_image(
        &repository(&server, "app", trusting(&server, certificates.ca())),
        "v1",
        None,
    )
    .await;

    let unverified = RegistryOptions {
        skip_tls_verify_hosts: [server.host()].into(),
        ..options()
    };
    repository(&server, "app", unverified)
        .resolve("v1")
        .await
        .unwrap();

    let other_ca = Certificates::make();
    let error = repository(&server, "app", trusting(&server, other_ca.ca()))
        .resolve("v1")
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let certificates = Certificates::make();
    let server = Server::start(&certificates.server_settings(true)).await;
    let (certificate, key) = certificates.client();
    let known = RegistryOptions {
        client_certificates: [(server.host(), ClientCertificate { certificate, key })].into(),
        ..trusting(&server, certificates.ca())
    };
    repository(&server, "app", known)
        .check_push_access()
        .await
        .unwrap();
    let unknown = trusting(&server, certificates.ca());
    let error = repository(&server, "app", unknown)
        .check_push_access()
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Tls | ErrorKind::Interrupted),
        "{error:?}"
    );
}

/// Copies files into the directory that is `host`'s in a new directory of certificates.
fn certificate_dir(host: &str, files: &[(&str, PathBuf)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join(host);
    std::fs::create_dir(&own).unwrap();
    for (name, file) in files {
        std::fs::copy(file, own.join(name)).unwrap();
    }
    dir
}

#[tokio::test]
async fn certificates_in_the_registrys_own_directory_are_used() {
    let certificates = Certificates::make();
    let server = Server::start(&certificates.server_settings(true)).await;
    let (certificate, key) = certificates.client();
    let pair = [("ci.cert", certificate), ("ci.key", key)];
    let authority = [("authority.crt", certificates.ca())];
    let kept = |files: &[(&str, PathBuf)]| certificate_dir(&server.host(), files);
    let access = async |dir: &tempfile::TempDir| {
        let options = RegistryOptions {
            certificate_dirs: vec!["/nonexistent".into(), dir.path().to_owned()],
            ..options()
        };
        repository(&server, "app", options)
            .check_push_access()
            .await
    };
    access(&kept(&[&authority[..], &pair].concat()))
        .await
        .unwrap();
    let error = access(&kept(&authority)).await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Tls | ErrorKind::Interrupted),
        "{error:?}"
    );
    let error = access(&kept(&pair)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
}

/// Writes a manifest about another one, as signatures are written.
async fn put_about(repository: &Repository, subject: &Descriptor, text: &str) -> Descriptor {
    let empty = Bytes::from_static(b"{}");
    let media_type = MediaType::Other("application/vnd.oci.empty.v1+json".to_owned());
    let config = Descriptor::of(media_type, &empty);
    let source = BlobSource::Bytes(empty);
    repository.push_blob(&config, &source, None).await.unwrap();
    let manifest = Manifest {
        artifact_type: Some("application/x.signature".to_owned()),
        subject: Some(subject.clone()),
        annotations: [("by".to_owned(), text.to_owned())].into(),
        ..Manifest::new(ImageFormat::Oci, &config, std::slice::from_ref(&config))
    };
    let bytes = Bytes::from(manifest.to_json().unwrap());
    let media_type = MediaType::Manifest(ImageFormat::Oci);
    let written = Descriptor {
        artifact_type: manifest.artifact_type,
        annotations: manifest.annotations,
        ..Descriptor::of(media_type.clone(), &bytes)
    };
    repository
        .put_manifest(written.digest.as_str(), &media_type, &bytes)
        .await
        .unwrap();
    written
}

#[tokio::test]
async fn what_is_about_an_image_is_found_where_the_registry_keeps_no_list() {
    let server = Server::start("").await;
    let repository = repository(&server, "app", options());
    let image = push_image(&repository, "v1", None).await.manifest;
    let none = repository.referrers(&image.digest).await.unwrap();
    assert_eq!(none, []);
    let first = put_about(&repository, &image, "first").await;
    let second = put_about(&repository, &image, "second").await;
    put_about(&repository, &image, "first").await;
    let found = repository.referrers(&image.digest).await.unwrap();
    assert_eq!(found, [first, second]);
    let tag = image.digest.to_string().replace(':', "-");
    let index = repository.resolve(&tag).await.unwrap();
    assert_eq!(index.media_type, MediaType::Index(ImageFormat::Oci));
}

/// The tables of docs/registries.md name a test for each of their rows.
#[test]
fn every_test_that_the_tables_of_registries_name_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| std::fs::read_to_string(path).expect("a text file");
    let mut sources = String::new();
    for directory in ["src", "tests"] {
        for entry in walkdir::WalkDir::new(root.join(directory)) {
            let entry = entry.expect("walk the sources");
            if entry
                .path()
                .extension()
                .is_some_and(|ending| ending == "rs")
            {
                sources += &read(entry.path());
            }
        }
    }
    let tables = read(&root.join("docs/registries.md"));
    let rows = tables.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.trim_end_matches('|').rsplit('|').next());
    let names: Vec<&str> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    // Some cells name the topic before the test.
    let is_test = |name: &&str| name.matches('_').count() > 1 && !name.contains('/');
    let names: Vec<&str> = names.into_iter().filter(is_test).collect();
    assert!(names.len() > 80, "the tables were not read: {names:?}");
    for name in names {
        let definition = format!("fn {name}(");
        assert!(sources.contains(&definition), "there is no test `{name}`");
    }
}
