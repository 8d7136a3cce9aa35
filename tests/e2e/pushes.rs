//! Pushes that fail, pushes that have little to do, and `executor push`.

use crate::support::crafted::push_index;
use crate::support::executor::Build;
use crate::support::image::array;
use crate::support::oracle::complaints_about;
use crate::support::tool::Tool;
use crate::support::{
    CraftedImage, Encoding, Executor, Family, Image, LayerTar, Proxy, Registry, Site, TestDir,
    Verdict, Who, check_image,
};
use std::path::{Path, PathBuf};

/// An image with one layer of its own.
fn crafted(text: &str) -> CraftedImage {
    let layer = LayerTar::new().dir("a/", 0o755).file("a/b", text);
    CraftedImage::new(Family::Oci).layer(layer, Encoding::Gzip)
}

/// A registry with `crafted:1`, and a directory with a layout of it.
fn registry_and_layout() -> (Registry, TestDir, PathBuf) {
    let registry = Registry::start();
    crafted("b").push_to(&registry, "crafted:1");
    let (dir, layout) = layout_of(&registry, "crafted:1");
    (registry, dir, layout)
}

fn layout_of(registry: &Registry, name: &str) -> (TestDir, PathBuf) {
    let dir = TestDir::new();
    let layout = dir.join("layout");
    Tool::new("skopeo")
        .args(["copy", "--quiet", "--all", "--preserve-digests"])
        .arg("--src-tls-verify=false")
        .arg(format!("docker://{}", registry.reference(name)))
        .arg(format!("oci:{}", layout.display()))
        .run();
    (dir, layout)
}

/// `executor push` of `source` to all the references, as root.
fn push(source: &Path, references: &[&str]) -> Executor {
    let executor = Executor::new(Who::Root).arg("push").arg(source);
    references.iter().fold(executor, |executor, reference| {
        executor.destination(reference)
    })
}

fn is_of_a_blob(request: &&String) -> bool {
    !request.starts_with("GET ") && !request.starts_with("HEAD ") && request.contains("/blobs/")
}

fn count(requests: &[String], start: &str) -> usize {
    let mut found = requests.to_vec();
    found.retain(|request| request.starts_with(start));
    found.len()
}

#[test]
fn a_layer_that_is_listed_twice_is_sent_once() {
    let registry = Registry::start();
    let image = crafted("b").layer(
        LayerTar::new().dir("a/", 0o755).file("a/b", "b"),
        Encoding::Gzip,
    );
    image.push_to(&registry, "crafted:1");
    let (_dir, layout) = layout_of(&registry, "crafted:1");
    let before = registry.requests().len();
    let pushed = push(&layout, &[&registry.reference("app:1")]);
    let pushed = pushed.arg("--skip-push-permission-check").run_as_given();
    pushed.assert_success();
    let requests = registry.requests().split_off(before);
    assert_eq!(
        count(&requests, "PUT /v2/app/blobs/uploads/"),
        2,
        "{requests:?}"
    );
    let image = Image::pull(&registry, "app:1");
    assert_eq!(image.layers.len(), 2);
    assert_eq!(image.layers[0].digest, image.layers[1].digest);
}

#[test]
fn what_is_there_is_pushed_again_without_an_upload() {
    let (registry, _dir, layout) = registry_and_layout();
    let proxy = Proxy::before(&registry);
    let to = |name: &str| {
        let push = push(&layout, &[&proxy.reference(name)]);
        push.arg("--skip-push-permission-check").run_as_given()
    };
    to("app:1").assert_success();
    let sent = proxy.take().requests;
    assert_eq!(count(&sent, "POST /v2/app/blobs/uploads/"), 2, "{sent:?}");
    to("app:2").assert_success();
    let again = proxy.take().requests;
    assert_eq!(again.iter().filter(is_of_a_blob).count(), 0, "{again:?}");
    assert_eq!(count(&again, "PUT /v2/app/manifests/2"), 1, "{again:?}");

    // The same layer in an image with another config: only that is sent.
    let second = crafted("b").architecture("s390x");
    second.push_to(&registry, "crafted:2");
    let (_dir, layout) = layout_of(&registry, "crafted:2");
    let push = push(&layout, &[&proxy.reference("app:3")]);
    let pushed = push.arg("--skip-push-permission-check").run_as_given();
    pushed.assert_success();
    let config_only = proxy.take().requests;
    let uploads = count(&config_only, "POST /v2/app/blobs/uploads/");
    assert_eq!(uploads, 1, "{config_only:?}");
}

#[test]
fn several_names_in_one_registry_get_each_blob_once_and_then_mounts() {
    let (registry, _dir, layout) = registry_and_layout();
    let proxy = Proxy::before(&registry);
    let names = ["one:1", "two:1", "one:2"].map(|name| proxy.reference(name));
    let push = push(&layout, &[&names[0], &names[1], &names[2]]);
    let build = push.run_as_given();
    build.assert_success();
    let requests = proxy.take().requests;
    let closed = requests
        .iter()
        .filter(|request| request.starts_with("PUT ") && request.contains("/blobs/"));
    assert!(
        closed.clone().count() == 2 && closed.clone().all(|put| put.contains("/v2/one/")),
        "{requests:?}"
    );
    let mounts = requests
        .iter()
        .filter(|request| request.starts_with("POST /v2/two/") && request.contains("from=one"));
    assert_eq!(mounts.count(), 2, "{requests:?}");
    // The check asks each repository once, before anything else.
    let checks = requests
        .iter()
        .filter(|request| request.starts_with("POST ") && !request.contains('?'));
    assert_eq!(checks.count(), 2 + 2, "{requests:?}");
    let last = requests.last().map(String::as_str);
    assert_eq!(last, Some("PUT /v2/one/manifests/2"));
    for name in ["one:1", "two:1", "one:2"] {
        let digest = Image::pull(&registry, name).digest();
        let receipt = format!("pushed {}@{digest}", proxy.reference(name));
        assert!(build.stderr().contains(&receipt), "{}", build.report());
    }
}

/// The directory of the layout that the executor says it has kept.
fn kept_layout(build: &Build) -> PathBuf {
    let after = build.stderr().split("hint: executor push ");
    let words = after.last().unwrap_or_default().split(' ');
    let path = words.take(1).collect::<String>();
    assert!(path.contains("/unpushed-sawagani-"), "{}", build.report());
    PathBuf::from(path)
}

#[test]
fn a_push_that_fails_keeps_no_other_from_its_turn_and_the_image_for_another_try() {
    let site = Site::busybox();
    let second = Registry::start();
    let refusing = Proxy::with(&second, |request| {
        match request.starts_with("PUT ") && request.contains("/manifests/") {
            true => Verdict::Refuse(403),
            false => Verdict::Pass,
        }
    });
    let context = site.context("COPY file /").file("file", "content");
    for who in Who::BOTH {
        let executor = Executor::new(who)
            .context(&context)
            .destination(&refusing.reference("app:1"))
            .destination(&site.app());
        let digest_file = executor.out("digest");
        let build = executor.arg("--digest-file").arg(&digest_file).run();
        let failed = format!("cannot push to `{}`", refusing.reference("app:1"));
        build.assert_error(1, &["cannot push to 1 of 2 destinations", &failed, "403"]);
        let digest = check_image(&site.registry, "app:1", &site.base).digest();
        let receipt = format!("pushed {}@{digest}", site.app());
        assert!(build.stderr().contains(&receipt), "{}", build.report());
        assert!(!digest_file.exists(), "it names what is not there");
        assert_eq!(second.tags("app"), Vec::<String>::new());
        // The base is of another registry.
        let requests = refusing.take().requests;
        assert!(!requests.iter().any(|request| request.contains("mount=")));

        let again = Executor::new(who).arg("push").arg(kept_layout(&build));
        let name = format!("{who:?}:1").to_lowercase();
        let again = again.destination(&second.reference(&name)).run_as_given();
        again.assert_success();
        assert_eq!(Image::pull(&second, &name).digest(), digest);
    }
}

#[test]
fn a_push_is_tried_again_as_often_as_wanted() {
    let (registry, _dir, layout) = registry_and_layout();
    let refusing = Proxy::with(&registry, |request| {
        match request.contains("/manifests/1") && request.starts_with("PUT ") {
            true => Verdict::Refuse(403),
            false => Verdict::Pass,
        }
    });
    let push = |retries: &[&str]| {
        let push = push(&layout, &[&refusing.reference("app:1")]);
        let pushed = push.args(retries).run_as_given();
        pushed.assert_error(1, &["403"]);
        count(&refusing.take().requests, "PUT /v2/app/manifests/1")
    };
    assert_eq!(push(&[]), 1);
    assert_eq!(push(&["--push-retry=1"]), 2);
}

#[test]
fn a_tag_that_cannot_be_overwritten_is_no_error_if_one_says_so_or_if_it_is_the_same() {
    let (registry, _dir, layout) = registry_and_layout();
    let immutable = Proxy::with(&registry, |request| {
        match request == "PUT /v2/app/manifests/1" {
            true => Verdict::RefuseWith(
                400,
                r#"{"errors":[{"code":"TAG_INVALID","message":"The image tag '1' already exists and cannot be overwritten because the tag is immutable."}]}"#,
            ),
            false => Verdict::Pass,
        }
    });
    crafted("other").push_to(&registry, "app:1");
    let other = Image::pull(&registry, "app:1").digest();
    let digest = Image::pull(&registry, "crafted:1").digest();
    let push = |more: &[&str]| {
        let push = push(&layout, &[&immutable.reference("app:1")]);
        let digest_file = push.out("digest");
        let push = push.args(more).arg("--digest-file").arg(digest_file);
        push.run_as_given()
    };
    push(&[]).assert_error(1, &["immutable", "--push-ignore-immutable-tag-errors"]);
    let ignored = push(&["--push-ignore-immutable-tag-errors", "--push-retry=5"]);
    ignored.assert_success();
    assert_eq!(ignored.read("digest"), digest);
    assert_eq!(Image::pull(&registry, "app:1").digest(), other);
    let by_digest = format!("app@{digest}");
    assert_eq!(Image::pull(&registry, &by_digest).digest(), digest);

    registry.copy("crafted:1", "app:1");
    push(&[]).assert_success();
}

#[test]
fn whether_a_push_is_permitted_is_asked_before_it() {
    let (registry, _dir, layout) = registry_and_layout();
    let refusing = Proxy::with(&registry, |request| match request.starts_with("POST ") {
        true => Verdict::Refuse(403),
        false => Verdict::Pass,
    });
    let names = ["app:1", "app:2", "other:1"].map(|name| refusing.reference(name));
    let pushed = push(&layout, &[&names[0], &names[1], &names[2]]).run_as_given();
    let failed = "cannot push to 2 of 2 destinations";
    pushed.assert_error(1, &[failed, "403", "--skip-push-permission-check"]);
    let requests = refusing.take().requests;
    assert_eq!(count(&requests, "POST "), 2, "{requests:?}");
    assert_eq!(count(&requests, "HEAD "), 0, "{requests:?}");
}

#[test]
fn every_form_of_a_stored_image_is_pushed() {
    let (registry, dir, layout) = registry_and_layout();
    let original = Image::pull(&registry, "crafted:1");
    let tar = dir.join("layout.tar");
    Tool::new("tar")
        .arg("-cf")
        .arg(&tar)
        .arg("-C")
        .arg(&layout)
        .arg(".")
        .run();
    for (source, name) in [(&layout, "form:directory"), (&tar, "form:tar")] {
        let push = push(source, &[&registry.reference(name)]);
        let names = push.out("names");
        let push = push.arg("--image-name-tag-with-digest-file").arg(names);
        let pushed = push.run_as_given();
        pushed.assert_success();
        let digest = original.digest();
        assert_eq!(Image::pull(&registry, name).digest(), digest, "{name}");
        let line = format!("{}@{digest}\n", registry.reference(name));
        assert_eq!(pushed.read("names"), line);
    }

    // As `docker save` has it: plain tars, and no manifest.
    let saved = dir.join("saved.tar");
    Tool::new("skopeo")
        .args(["copy", "--quiet"])
        .arg(format!("oci:{}", layout.display()))
        .arg(format!("docker-archive:{}:form:saved", saved.display()))
        .run();
    let pushed = push(&saved, &[&registry.reference("form:saved")]);
    pushed.run_as_given().assert_success();
    let image = Image::pull(&registry, "form:saved");
    assert_eq!(image.diff_ids(), original.diff_ids());
    let stored: Vec<_> = image.layers.iter().map(|layer| layer.stored_as()).collect();
    assert_eq!(stored, ["gzip"]);
    let mut complaints = complaints_about(&image, &original.diff_ids());
    // So has the crafted one, whose config this is.
    complaints.retain(|complaint| complaint != "the config has no `created`");
    assert_eq!(complaints, Vec::<String>::new());

    let nothing = dir.join("nothing");
    std::fs::create_dir(&nothing).expect("make a directory");
    let pushed = push(&nothing, &[&registry.reference("form:none")]);
    pushed
        .run_as_given()
        .assert_error(1, &["cannot push `", "nothing"]);
}

#[test]
fn an_index_is_pushed_with_its_images_or_one_of_them() {
    let registry = Registry::start();
    let images = ["amd64", "arm64"].map(|name| crafted(name).architecture(name));
    push_index(&registry, &images, "index:1");
    let (_dir, layout) = layout_of(&registry, "index:1");
    let second = Registry::start();
    push(&layout, &[&second.reference("index:1")])
        .run_as_given()
        .assert_success();
    let raw = |of: &Registry| of.inspect("index:1", &["--raw"]);
    assert_eq!(raw(&second), raw(&registry));
    let index: serde_json::Value = serde_json::from_str(&raw(&second)).expect("JSON");
    for listed in array(&index["manifests"]) {
        let digest = listed["digest"].as_str().expect("a digest");
        Image::pull(&second, &format!("index@{digest}"));
    }
    push(&layout, &[&second.reference("one:1")])
        .arg("--platform=linux/arm64")
        .run_as_given()
        .assert_success();
    let one = Image::pull(&second, "one:1");
    assert_eq!(one.config["architecture"], "arm64");
    let of_index = array(&index["manifests"])[1]["digest"].as_str();
    assert_eq!(Some(one.digest().as_str()), of_index);
}

#[test]
fn certificates_are_looked_at_as_the_flags_say() {
    let (_registry, _dir, layout) = registry_and_layout();
    let guarded = Registry::start_with_tls();
    let host = guarded.host();
    let push = |flag: &str| {
        let push = push(&layout, &[&guarded.reference("app:1")]);
        push.arg(flag).run_as_given()
    };
    // A registry on loopback is taken for one that speaks plain HTTP.
    push("--insecure-pull").assert_error(1, &[&host, "HTTPS server"]);
    let authority = guarded.ca_file();
    for flag in [
        "--skip-tls-verify".to_owned(),
        format!("--skip-tls-verify-registry={host}"),
        format!("--registry-certificate={host}={}", authority.display()),
    ] {
        push(&flag).assert_success();
    }
}

#[test]
fn the_log_of_a_push_is_as_the_flags_say() {
    let (registry, _dir, layout) = registry_and_layout();
    let name = registry.reference("app:1");
    let push = |flags: &[&str]| {
        let pushed = push(&layout, &[&name]).args(flags).run_as_given();
        pushed.assert_success();
        pushed.stderr().to_owned()
    };
    let line: serde_json::Value =
        serde_json::from_str(&push(&["--log-format=json", "--log-timestamp"])).expect("one line");
    let text = line["msg"].as_str().expect("a message");
    assert!(
        text.starts_with(&format!("pushed {name}@sha256:")),
        "{line}"
    );
    assert!(!line["seconds"].is_null(), "{line}");
    assert_eq!(push(&["--verbosity=error"]), "");
    assert!(!push(&["--log-format=text"]).contains('{'));
}

#[test]
fn a_push_to_nowhere_is_an_error() {
    let pushed = push(Path::new("nothing"), &[]).run_as_given();
    pushed.assert_error(1, &["you must provide --destination"]);
}
