//! Bases of every kind: whose media types, how compressed, how many layers, by which name.

use crate::support::crafted::{self, push_index};
use crate::support::{
    BaseImage, Context, CraftedImage, Encoding, Executor, Family, Kind, LayerTar, Registry, Site,
    Who, check_image,
};
use serde_json::json;

/// Builds the lines over a base of `registry` as both accounts, and returns the last layer's names.
fn build_over(registry: &Registry, base: &str, lines: &str) -> Vec<Vec<String>> {
    let base = BaseImage::in_registry(registry, base);
    let context = Context::new(format!("FROM {base}\n{lines}\n"));
    let build = |who| {
        Executor::new(who)
            .context(&context)
            .destination(&registry.reference("app:1"))
            .run()
            .assert_success();
        let image = check_image(registry, "app:1", &base);
        let mut archive = tar::Archive::new(image.layers.last().expect("a layer").open());
        let entries = archive.entries().expect("read a layer");
        entries
            .map(|entry| {
                String::from_utf8_lossy(&entry.expect("read a layer").path_bytes()).into_owned()
            })
            .collect()
    };
    Who::BOTH.map(build).to_vec()
}

/// A base of four layers that delete, hide and replace each other's files; the encodings take turns.
fn layered(family: Family, encodings: &[Encoding]) -> CraftedImage {
    let layers = [
        LayerTar::new()
            .shell()
            .dir("d/", 0o755)
            .file("d/one", "1")
            .file("d/two", "2")
            .dir("d/sub/", 0o755)
            .file("d/sub/x", ""),
        LayerTar::new()
            .dir("again/", 0o755)
            .file("again/old", "")
            .file("gone", "")
            .file("type", "file")
            .symlink("link", "d"),
        // The marker comes last in its layer: it hides the layers below all the same, and not its own neighbour.
        LayerTar::new()
            .dir("d/", 0o700)
            .file("d/three", "3")
            .opaque("d")
            .whiteout("gone")
            .dir("type/", 0o755)
            .file("type/in", ""),
        LayerTar::new().whiteout("again").file("link", "now a file"),
    ];
    let encodings = encodings.iter().cycle();
    layers
        .into_iter()
        .zip(encodings)
        .fold(CraftedImage::new(family), |image, (tar, encoding)| {
            image.layer(tar, *encoding)
        })
}

#[test]
fn whiteouts_and_opaque_markers_count_in_every_family_and_encoding() {
    let registry = Registry::start();
    for (family, encodings) in [
        (Family::Docker, vec![Encoding::Gzip, Encoding::Plain]),
        (
            Family::Oci,
            vec![Encoding::Gzip, Encoding::Zstd, Encoding::Plain],
        ),
        (Family::Oci, vec![Encoding::Zstd]),
    ] {
        layered(family, &encodings).push_to(&registry, "base:1");
        let layers = build_over(
            &registry,
            "base:1",
            "RUN [\"/bin/sh\", \"-euxc\", \"set -- /d/*; test \\\"$*\\\" = /d/three; test ! -e /gone; test ! -e /again; \
               test -d /type; test -e /type/in; test -f /link; test ! -L /link; test $(stat -c %a /d) = 700; echo > /new\"]",
        );
        assert_eq!(
            layers,
            [["new"], ["new"]],
            "{family:?} {encodings:?}: the base's own files are not in the new layer"
        );
    }
}

#[test]
fn owners_modes_times_links_and_attributes_arrive_as_the_layer_says() {
    let registry = Registry::start();
    let capability = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let layer = LayerTar::new()
        .shell()
        .file_with(
            "ping",
            "x",
            0o4755,
            33,
            &[("security.capability", &capability), ("user.note", b"kept")],
        )
        .dir("private/", 0o2750)
        .file("private/a", "a")
        .hard_link("private/b", "private/a")
        .fifo("private/pipe")
        .symlink("private/link", "a");
    CraftedImage::new(Family::Oci)
        .layer(layer, Encoding::Gzip)
        .push_to(&registry, "base:1");
    let time = crafted::MTIME;
    // The file is copied up with all it has when its directory's neighbour is moved onto it.
    let lines = format!(
        "RUN test \"$(stat -c %u:%g:%a:%Y /ping)\" = 33:33:4755:{time} && test \"$(stat -c %a:%Y /private)\" = 2750:{time} \
           && test \"$(stat -c %h /private/a)\" = 2 && test -p /private/pipe && test \"$(readlink /private/link)\" = a \
           && test \"$(stat -c %Y /private/link)\" = {time} && chown 34 /ping && chmod 4755 /ping"
    );
    let base = BaseImage::in_registry(&registry, "base:1");
    let context = Context::new(format!(
        "FROM {base}\nRUN true\nRUN {}\n",
        lines.trim_start_matches("RUN ")
    ));
    for who in Who::BOTH {
        Executor::new(who)
            .context(&context)
            .destination(&registry.reference("app:1"))
            .run()
            .assert_success();
        let tree = check_image(&registry, "app:1", &base).tree();
        let ping = tree.get("ping");
        assert_eq!((ping.uid, ping.gid, ping.mode), (34, 33, 0o4755), "{who:?}");
        assert_eq!(
            ping.xattrs.get("user.note").map(Vec::as_slice),
            Some(&b"kept"[..]),
            "{who:?}"
        );
        // capabilities(7): a change of owner takes the capabilities away, in a RUN as anywhere.
        assert_eq!(ping.xattrs.get("security.capability"), None, "{who:?}");
    }
}

#[test]
fn a_base_of_sixty_layers_builds() {
    let registry = Registry::start();
    let first = CraftedImage::new(Family::Oci).layer(LayerTar::new().shell(), Encoding::Gzip);
    let image = (1..60).fold(first, |image, number| {
        image.layer(
            LayerTar::new()
                .file(&format!("f{number}"), "")
                .file("last", number.to_string()),
            Encoding::Gzip,
        )
    });
    image.push_to(&registry, "base:1");
    let layers = build_over(
        &registry,
        "base:1",
        "RUN test -e /f1 && test \"$(cat /last)\" = 59 && rm /f1",
    );
    assert_eq!(layers, [[".wh.f1"], [".wh.f1"]]);
}

#[test]
fn the_machines_own_platform_is_chosen_from_an_index() {
    let registry = Registry::start();
    let image = |architecture: &str| {
        let layer = LayerTar::new().shell().file("architecture", architecture);
        CraftedImage::new(Family::Oci)
            .architecture(architecture)
            .layer(layer, Encoding::Gzip)
    };
    push_index(
        &registry,
        &[image("s390x"), image("arm64"), image("amd64")],
        "base:1",
    );
    let own = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    build_over(
        &registry,
        "base:1",
        &format!("RUN test \"$(cat /architecture)\" = {own} && touch /new"),
    );

    let base = registry.reference("base:1");
    let context = Context::new(format!("FROM {base}\nCOPY Dockerfile /\n"));
    let other = Executor::new(Who::User)
        .context(&context)
        .arg("--custom-platform=linux/s390x");
    other
        .destination(&registry.reference("other:1"))
        .run()
        .assert_success();
    let built = crate::support::Image::pull(&registry, "other:1");
    assert_eq!(
        built.config["architecture"], "s390x",
        "a build without RUN needs no machine of that kind"
    );
    assert_eq!(
        built.tree().get("architecture").kind,
        Kind::File {
            size: 5,
            sha256: crate::support::image::sha256(b"s390x")
        }
    );

    let missing = Executor::new(Who::User)
        .context(&context)
        .arg("--custom-platform=linux/riscv64")
        .arg("--no-push")
        .run();
    missing.assert_error(1, &["linux/riscv64"]);
}

#[test]
fn a_base_is_found_by_its_digest_alone() {
    let registry = Registry::start();
    let base = crate::support::Base::Busybox.push_to(&registry);
    let digest = crate::support::Image::pull(&registry, "base/busybox:1").digest();
    let by_digest = registry.reference(&format!("base/busybox@{digest}"));
    let both = registry.reference(&format!("base/busybox:1@{digest}"));
    for reference in [by_digest, both] {
        let context = Context::new(format!("FROM {reference}\nRUN touch /new\n"));
        Executor::new(Who::Root)
            .context(&context)
            .destination(&registry.reference("app:1"))
            .run()
            .assert_success();
        check_image(&registry, "app:1", &base);
    }
}

#[test]
fn a_docker_base_gives_a_docker_image_or_an_oci_one_but_never_a_mixture() {
    let registry = Registry::start();
    CraftedImage::new(Family::Docker)
        .layer(LayerTar::new().shell(), Encoding::Gzip)
        .push_to(&registry, "base:1");
    // `check_image`, within, refuses a mixture.
    build_over(&registry, "base:1", "RUN touch /new");
}

#[test]
fn what_we_do_not_know_of_a_bases_config_survives() {
    let registry = Registry::start();
    let image = CraftedImage::new(Family::Oci)
        .layer(LayerTar::new().shell(), Encoding::Gzip)
        .config(
            "Healthcheck",
            json!({ "Test": ["CMD", "true"], "Interval": 5_000_000_000_u64, "Unheard": 1 }),
        )
        .config("Shell", json!(["/bin/busybox", "sh", "-c"]))
        .config("FutureField", json!({ "of": ["another", "tool"] }));
    image.push_to(&registry, "base:1");
    build_over(&registry, "base:1", "RUN touch /new");
    let built = crate::support::Image::pull(&registry, "app:1");
    assert_eq!(built.setting("Healthcheck")["Unheard"], 1);
    assert_eq!(built.setting("Shell")[1], "sh");
    assert_eq!(built.setting("FutureField")["of"][1], "tool");
}

#[test]
fn triggers_of_the_base_run_first_and_are_used_up() {
    let site = Site::busybox();
    let image = CraftedImage::new(Family::Docker)
        .layer(LayerTar::new().shell(), Encoding::Gzip)
        .config(
            "OnBuild",
            json!([
                "ARG WHO=nobody",
                "COPY app.txt /app/",
                "RUN echo $WHO >> /app/app.txt"
            ]),
        );
    image.push_to(&site.registry, "onbuild:1");
    let base = BaseImage::in_registry(&site.registry, "onbuild:1");
    let site = Site {
        registry: site.registry,
        base,
    };
    let context = site
        .context("RUN echo own >> /app/app.txt\nONBUILD RUN false")
        .file("app.txt", "app\n");
    let image = site.build_with(
        site.executor(Who::Root, &context)
            .arg("--build-arg=WHO=somebody"),
    );
    assert_eq!(
        image.tree().get("app/app.txt").kind,
        Kind::file("app\nsomebody\nown\n")
    );
    assert_eq!(*image.setting("OnBuild"), json!(["RUN false"]));
}

#[test]
fn a_stage_without_files_of_its_own_has_those_of_the_stage_below() {
    let site = Site::busybox();
    let base = &site.base;
    let context = Context::new(format!(
        "FROM {base} AS files\nRUN echo hi > /x\nFROM files AS words\nENV X=1\n\
         FROM words\nRUN test \"$(cat /x):$X\" = hi:1\nCOPY --from=words /x /y\n"
    ));
    let tree = site.build_as_both(&context);
    assert_eq!(tree.get("y").kind, tree.get("x").kind);
}

#[test]
fn a_working_directory_that_the_base_names_and_lacks_is_made_for_a_run() {
    let registry = Registry::start();
    CraftedImage::new(Family::Oci)
        .config("WorkingDir", json!("/not/there"))
        .layer(LayerTar::new().shell(), Encoding::Gzip)
        .push_to(&registry, "base:1");
    build_over(
        &registry,
        "base:1",
        "RUN test \"$PWD\" = /not/there && echo > here",
    );
}

#[test]
fn copy_from_an_image_takes_the_targets_platform_whatever_the_stages_own_is() {
    let registry = Registry::start();
    let image = |architecture: &str| {
        let layer = LayerTar::new().file("architecture", architecture);
        CraftedImage::new(Family::Oci)
            .architecture(architecture)
            .layer(layer, Encoding::Gzip)
    };
    push_index(&registry, &[image("amd64"), image("s390x")], "files:1");
    let files = registry.reference("files:1");
    let context = Context::new(format!(
        "FROM --platform=linux/amd64 {files}\nCOPY --from={files} /architecture /copied\n"
    ));
    Executor::new(Who::User)
        .context(&context)
        .arg("--custom-platform=linux/s390x")
        .destination(&registry.reference("app:1"))
        .run()
        .assert_success();
    let tree = crate::support::Image::pull(&registry, "app:1").tree();
    let content = |name: &str| Kind::File {
        size: 5,
        sha256: crate::support::image::sha256(name.as_bytes()),
    };
    assert_eq!(tree.get("architecture").kind, content("amd64"));
    assert_eq!(tree.get("copied").kind, content("s390x"));
}
