//! `executor index`: images that were built apart, joined.

use serde_json::{Value, json};

use crate::support::executor::Build;
use crate::support::image::{array, text};
use crate::support::index::{Listed, OCI_INDEX, OTHER, OWN, both, registry_with_base};
use crate::support::{Context, Executor, Registry, TestDir, Who};

/// A reproducible build that runs nothing.
fn executor(registry: &Registry) -> Executor {
    let base = registry.reference("base:1");
    let context = Context::new(format!("FROM {base}\nCOPY file /\n")).file("file", "contents");
    Executor::new(Who::User)
        .context(&context)
        .arg("--reproducible")
}

fn build(registry: &Registry, architecture: &str, name: &str, args: &[&str]) {
    executor(registry)
        .arg(format!("--platform=linux/{architecture}"))
        .args(args)
        .destination(&registry.reference(name))
        .run()
        .assert_success();
}

/// Joins sources into `destination`, as an ordinary user.
fn join(destination: &str, sources: &[&str], args: &[&str]) -> Build {
    let executor = Executor::new(Who::User).arg("index");
    let executor = executor.args(args).args(sources);
    executor.destination(destination).run_as_given()
}

fn uploads(registry: &Registry, before: usize) -> Vec<String> {
    let requests = registry.requests().split_off(before).into_iter();
    requests
        .filter(|request| request.contains("/blobs/uploads/"))
        .collect()
}

#[test]
fn images_of_two_jobs_become_the_index_that_one_build_gives() {
    let registry = registry_with_base();
    executor(&registry)
        .arg(both())
        .destination(&registry.reference("app:at-once"))
        .run()
        .assert_success();
    let at_once = Listed::read(&registry, "app:at-once").digest();
    build(&registry, OTHER, "app:1-other", &[]);
    // The other job had no registry.
    let dir = TestDir::new();
    let layout = dir.join("layout");
    let own = executor(&registry);
    let layout_flag = format!("--oci-layout-path={}", own.out("layout").display());
    let kept = own.out("layout");
    let built = own.args(["--no-push", &layout_flag]).run();
    built.assert_success();
    // `out` goes with the build.
    std::fs::rename(&kept, &layout).expect("take the layout");
    let layout = layout.display().to_string();

    let other = registry.reference("app:1-other");
    let sources = [other.as_str(), layout.as_str()];
    join(&registry.reference("app:1"), &sources, &[]).assert_success();
    let index = Listed::read(&registry, "app:1");
    assert_eq!(index.digest(), at_once);
    assert_eq!(index.images(&registry).len(), 2);

    // In the repository where all is, nothing is sent; in another of that registry it is mounted.
    let joined = registry.reference("app:1");
    for (name, mounts) in [("app:2", 0), ("team/other:1", 3)] {
        let before = registry.requests().len();
        // Asking for the permission opens an upload too.
        let unasked = ["--skip-push-permission-check"];
        join(&registry.reference(name), &[&joined], &unasked).assert_success();
        assert_eq!(Listed::read(&registry, name).digest(), at_once);
        let uploads = uploads(&registry, before);
        let is_mount = |request: &&String| request.contains("mount=");
        assert_eq!(
            uploads.iter().filter(is_mount).count(),
            mounts,
            "{uploads:?}"
        );
        // What is not mounted are the two configs, in two requests each.
        let configs = if mounts > 0 { 4 } else { 0 };
        assert_eq!(uploads.len(), mounts + configs, "{uploads:?}");
    }

    // Another registry is sent all of it.
    let elsewhere = Registry::start();
    let digest_file = ["--digest-file=digest", "--annotation=org.example.a=b"];
    let copied = join(&elsewhere.reference("app:1"), &[&joined], &digest_file);
    copied.assert_success();
    let index = Listed::read(&elsewhere, "app:1");
    assert_eq!(index.json["annotations"], json!({ "org.example.a": "b" }));
    assert!(
        copied.stderr().contains(&index.digest()),
        "{}",
        copied.report()
    );
    for (image, architecture) in index.images(&elsewhere).iter().zip([OTHER, OWN]) {
        assert_eq!(image.config["architecture"], architecture);
        assert!(image.tree().has("architecture") && image.tree().has("file"));
    }
}

/// Adds what BuildKit lists beside an image: a manifest that is none.
fn with_attestation(registry: &Registry, index: &Value) -> Value {
    let empty = registry.manifest("app", "1-own");
    let attestation = json!({
        "schemaVersion": 2,
        "mediaType": empty["mediaType"],
        "config": empty["config"],
        "layers": empty["layers"],
        "annotations": { "in-toto.io/predicate-type": "x" },
    });
    registry.put_manifest("app", "attestation", &attestation);
    let stored = registry.inspect("app:attestation", &["--raw"]);
    let digest = crate::support::image::sha256(stored.as_bytes());
    let mut index = index.clone();
    let manifests = index["manifests"].as_array_mut().expect("a list");
    manifests.push(json!({
        "mediaType": empty["mediaType"],
        "digest": format!("sha256:{digest}"),
        "size": stored.len(),
        "platform": { "os": "unknown", "architecture": "unknown" },
    }));
    index
}

#[test]
fn an_index_gives_its_images_and_no_attestations() {
    let registry = registry_with_base();
    build(&registry, OWN, "app:1-own", &[]);
    build(&registry, OTHER, "app:1-other", &[]);
    let source = |name: &str| registry.reference(name);
    join(&source("app:own"), &[&source("app:1-own")], &[]).assert_success();
    let index = Listed::read(&registry, "app:own");
    assert_eq!(index.json["mediaType"], OCI_INDEX);
    let index = with_attestation(&registry, &index.json);
    registry.put_manifest("app", "attested", &index);
    let nested = json!({
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [{
            "mediaType": OCI_INDEX,
            "digest": Listed::read(&registry, "app:attested").digest(),
            "size": registry.inspect("app:attested", &["--raw"]).len(),
        }],
    });
    registry.put_manifest("app", "nested", &nested);

    // The same image twice is one.
    let sources = [
        source("app:nested"),
        source("app:1-own"),
        source("app:1-other"),
    ];
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    let joined = join(&source("app:1"), &sources, &[]);
    joined.assert_success();
    assert!(
        joined.stderr().contains("left out 1"),
        "{}",
        joined.report()
    );
    let index = Listed::read(&registry, "app:1");
    assert_eq!(
        index.platforms(),
        [format!("linux/{OWN}"), format!("linux/{OTHER}")]
    );
    let listed = array(&index.json["manifests"])[0].as_object();
    let mut keys: Vec<&String> = listed.expect("a descriptor").keys().collect();
    keys.sort();
    assert_eq!(keys, ["digest", "mediaType", "platform", "size"]);
    assert_eq!(text(&index.json["manifests"][0]["platform"]["os"]), "linux");
}

#[test]
fn what_an_index_says_of_its_images_is_said_by_the_one_they_are_joined_into() {
    let registry = registry_with_base();
    let said = [
        "--annotation=manifest-descriptor:org.example.k=v",
        "--annotation=manifest-descriptor:org.example.a=old",
    ];
    let dir = TestDir::new();
    let build = executor(&registry).args(said).arg(both());
    let kept = build.out("layout");
    let layout_flag = format!("--oci-layout-path={}", kept.display());
    let build = build
        .arg(layout_flag)
        .destination(&registry.reference("app:built"));
    // `out` goes with the build.
    let built = build.run();
    built.assert_success();
    let layout = dir.join("layout");
    std::fs::rename(&kept, &layout).expect("take the layout");
    // One image that a layout lists by itself, under a name.
    let alone = layout.join("index.json");
    let mut index: Value =
        serde_json::from_slice(&std::fs::read(&alone).expect("an index")).expect("JSON");
    let mut listed = array(&Listed::read(&registry, "app:built").json["manifests"])[0].clone();
    listed["annotations"]["org.opencontainers.image.ref.name"] = json!("one");
    listed["annotations"]["io.containerd.image.name"] = json!("registry.example/app:one");
    index["manifests"]
        .as_array_mut()
        .expect("a list")
        .push(listed);
    std::fs::write(&alone, index.to_string()).expect("write the index");

    let layout = layout.display().to_string();
    let one = format!("oci-layout://{layout}:one");
    let built = registry.reference("app:built");
    let anew = ["--annotation=manifest-descriptor:org.example.a=new"];
    for (source, images) in [(built.as_str(), 2), (layout.as_str(), 2), (one.as_str(), 1)] {
        join(&registry.reference("app:1"), &[source], &anew).assert_success();
        let joined = Listed::read(&registry, "app:1");
        let entries = array(&joined.json["manifests"]);
        assert_eq!(entries.len(), images, "{source}");
        for entry in entries {
            let expected = json!({ "org.example.k": "v", "org.example.a": "new" });
            assert_eq!(entry["annotations"], expected, "{source}");
        }
    }
}

#[test]
fn what_cannot_be_one_index_is_refused_with_both_names() {
    let registry = registry_with_base();
    build(&registry, OWN, "app:1-own", &[]);
    build(&registry, OWN, "app:labelled", &["--label=a=b"]);
    build(&registry, OTHER, "app:docker", &["--image-format=docker"]);
    let reference = |name: &str| registry.reference(name);
    let destination = reference("app:1");
    let own = reference("app:1-own");
    let refused = |sources: &[&str], args: &[&str], parts: &[&str]| {
        join(&destination, sources, args).assert_error(1, parts);
    };
    let (labelled, docker) = (reference("app:labelled"), reference("app:docker"));
    let both_own = format!("both for linux/{OWN}");
    refused(
        &[&own, &labelled],
        &[],
        &["app:1-own", "app:labelled", &both_own],
    );
    refused(
        &[&own, &docker],
        &[],
        &["app:1-own", "app:docker", "Docker", "OCI", "--image-format"],
    );
    refused(&[&own], &["--image-format=docker"], &["app:1-own", "OCI"]);
    refused(&[&docker], &["--annotation=a=b"], &["annotated", "Docker"]);
    refused(&[&own, "./missing"], &[], &["/missing"]);
    refused(&[&reference("app:absent")], &[], &["app:absent"]);
    assert!(!registry.tags("app").contains(&"1".to_owned()));

    join(&destination, &[&docker], &["--image-format=docker"]).assert_success();
    let index = Listed::read(&registry, "app:1");
    assert!(index.raw.contains("manifest.list.v2+json") && !index.raw.contains("oci"));
}
