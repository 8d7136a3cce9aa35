//! Several platforms at once: one index, what they have in common done once, and foreign commands refused in time.

use serde_json::Value;

use crate::support::base_image::busybox;
use crate::support::cache_dir::{CacheDir, layer_requests, text_of};
use crate::support::image::{array, hex_of, sha256, text};
use crate::support::index::{Listed, OCI_INDEX, OTHER, OWN, base_for, both, registry_with_base};
use crate::support::tool::Tool;
use crate::support::{Context, Executor, Image, Kind, Registry, TestDir, Who};

fn contents(image: &Image, path: &str) -> Kind {
    image.tree().get(path).kind.clone()
}

fn file_of(contents: &str) -> Kind {
    Kind::File {
        size: contents.len() as u64,
        sha256: sha256(contents.as_bytes()),
    }
}

fn cross_compiling(registry: &Registry) -> Context {
    let base = registry.reference("base:1");
    Context::new(format!(
        r#"FROM --platform=$BUILDPLATFORM {base} AS build
COPY source /source
RUN echo "pre""pared" && busybox cat /source > /prepared
ARG TARGETARCH
RUN echo "comp""iled" && echo "$(busybox cat /prepared) for $TARGETARCH" > /program
FROM {base}
ARG TARGETPLATFORM
LABEL platform=$TARGETPLATFORM
COPY --from=build /program /
"#
    ))
    .file("source", "code")
}

/// Lines that the commands of a build printed.
fn printed(output: &str, text: &str) -> usize {
    output.lines().filter(|line| line.ends_with(text)).count()
}

#[test]
fn what_is_compiled_on_the_builder_goes_into_one_index_and_what_is_common_is_done_once() {
    for (who, args) in [
        (Who::User, vec![]),
        (Who::Root, vec!["--isolation=chroot"]),
        (Who::Root, vec!["--storage=tree"]),
    ] {
        let registry = registry_with_base();
        let context = cross_compiling(&registry);
        let cache = CacheDir::new(who);
        let before = registry.requests().len();
        let executor = Executor::new(who).context(&context).args(&args);
        let digest_file = executor.out("digest");
        let executor = executor
            .arg(both())
            .args(["--cache=true", &cache.flag()])
            .arg(format!("--digest-file={}", digest_file.display()))
            .destination(&registry.reference("app:1"));
        let build = executor.run();
        build.assert_success();
        assert_eq!(printed(build.stdout(), "prepared"), 1, "{}", build.report());
        assert_eq!(printed(build.stdout(), "compiled"), 2, "{}", build.report());

        let index = Listed::read(&registry, "app:1");
        assert_eq!(index.json["mediaType"], OCI_INDEX);
        assert_eq!(
            index.platforms(),
            [format!("linux/{OTHER}"), format!("linux/{OWN}")],
            "in the order asked for"
        );
        assert_eq!(build.read("digest"), index.digest());
        let images = index.images(&registry);
        for (image, architecture) in images.iter().zip([OTHER, OWN]) {
            assert_eq!(image.config["architecture"], architecture);
            assert_eq!(
                image.setting("Labels")["platform"],
                format!("linux/{architecture}")
            );
            assert_eq!(contents(image, "architecture"), file_of(architecture));
            let program = format!("code for {architecture}\n");
            assert_eq!(contents(image, "program"), file_of(&program));
        }

        let requests = registry.requests().split_off(before);
        let puts = requests
            .iter()
            .filter(|request| request.starts_with("PUT /v2/app/manifests/"));
        let names = puts.map(|request| request.rsplit('/').next().expect("a name"));
        let expected: Vec<&str> = index.digests().into_iter().chain(["1"]).collect();
        assert_eq!(names.collect::<Vec<_>>(), expected, "the index comes last");
        let asked = |name: &str| {
            let end = format!("/v2/base/manifests/{name}");
            requests
                .iter()
                .filter(|request| request.ends_with(&end))
                .count()
        };
        assert!(
            asked("1") <= 1,
            "the base's index is asked for once: {requests:?}"
        );

        // Another tool reads all of it, and checks each digest.
        let copied = TestDir::new();
        let layout = format!("oci:{}", copied.join("copied").display());
        let source = format!("docker://{}", registry.reference("app:1"));
        let skopeo = Tool::new("skopeo").args(["copy", "--quiet", "--all", "--preserve-digests"]);
        skopeo
            .args(["--src-tls-verify=false", &source, &layout])
            .run();

        let again = Executor::new(who).context(&context).args(&args).arg(both());
        let again = again.args(["--cache=true", &cache.flag()]);
        let again = again.destination(&registry.reference("app:2")).run();
        again.assert_success();
        let executed = printed(again.stdout(), "prepared") + printed(again.stdout(), "compiled");
        assert_eq!(executed, 0, "{}", again.report());
        assert_eq!(Listed::read(&registry, "app:2").digest(), index.digest());
    }
}

#[test]
fn a_layout_holds_the_index_and_its_images() {
    let registry = registry_with_base();
    let base = registry.reference("base:1");
    let context = Context::new(format!("FROM {base}\nCOPY Dockerfile /\n"));
    let executor = Executor::new(Who::User).context(&context).arg(both());
    let layout = executor.out("layout");
    let flag = format!("--oci-layout-path={}", layout.display());
    let build = executor.args([&flag, "--no-push"]).run();
    build.assert_success();
    let listed: Value = serde_json::from_str(&build.read("layout/index.json")).expect("JSON");
    let [entry] = array(&listed["manifests"]) else {
        panic!("one index was expected: {listed}");
    };
    assert_eq!(entry["mediaType"], OCI_INDEX);
    registry.push(&format!("oci:{}", layout.display()), "app:1");
    let index = Listed::read(&registry, "app:1");
    assert_eq!(index.digest(), text(&entry["digest"]));
    assert_eq!(index.images(&registry).len(), 2);
}

#[test]
fn docker_types_are_not_mixed_with_others_and_the_same_build_gives_the_same_index() {
    let registry = registry_with_base();
    let base = registry.reference("base:1");
    let context = Context::new(format!("FROM {base}\nCOPY Dockerfile /\n"));
    let digests = ["app:1", "app:2"].map(|name| {
        // The same platform by another name counts once.
        let executor = Executor::new(Who::User).context(&context).arg(both());
        executor
            .args(["--platform", &format!("linux/{OTHER}")])
            .args(["--image-format=docker", "--reproducible"])
            .destination(&registry.reference(name))
            .run()
            .assert_success();
        let index = Listed::read(&registry, name);
        assert_eq!(
            index.json["mediaType"],
            "application/vnd.docker.distribution.manifest.list.v2+json"
        );
        assert!(!index.raw.contains("vnd.oci"), "{}", index.raw);
        let images = index.images(&registry);
        assert_eq!(images.len(), 2);
        for image in &images {
            let manifest = String::from_utf8_lossy(&image.manifest_bytes);
            assert!(!manifest.contains("vnd.oci"), "{manifest}");
        }
        index.digest()
    });
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn one_image_is_listed_in_an_index_where_that_is_asked_for() {
    let registry = registry_with_base();
    let base = registry.reference("base:1");
    let context = Context::new(format!("FROM {base}\nCOPY Dockerfile /\n"));
    let build = |value: &str| {
        let executor = Executor::new(Who::User).context(&context);
        executor.arg(format!("--build-arg=BUILDKIT_MULTI_PLATFORM={value}"))
    };
    let pushed = build("1").destination(&registry.reference("app:1")).run();
    pushed.assert_success();
    let index = Listed::read(&registry, "app:1");
    assert_eq!(index.json["mediaType"], OCI_INDEX);
    assert_eq!(index.platforms(), [format!("linux/{OWN}")]);

    let archive = build("true").args(["--no-push", "--tar-path=x.tar"]).run();
    archive.assert_error(1, &["--tar-path", "index", "--oci-layout-path"]);
    let several = build("false").args(["--no-push", &both()]).run();
    several.assert_error(1, &["BUILDKIT_MULTI_PLATFORM", "several platforms"]);
    let wrong = build("maybe").arg("--no-push").run();
    wrong.assert_error(1, &["BUILDKIT_MULTI_PLATFORM", "`maybe`"]);
}

#[test]
fn a_foreign_command_is_refused_before_anything_is_pulled() {
    let registry = registry_with_base();
    let base = registry.reference("base:1");
    let image = Image::pull(&registry, "base:1");
    let context = Context::new(format!(
        "FROM {base} AS tools\nRUN touch /a\nFROM {base}\nRUN touch /b\nCOPY --from=tools /a /\n"
    ));
    let before = registry.requests().len();
    for platform in [both(), format!("--platform=linux/{OTHER}")] {
        let executor = Executor::new(Who::User).context(&context).arg(platform);
        executor.arg("--no-push").run().assert_error(
            1,
            &[
                "Dockerfile:2",
                "4 | RUN touch /b",
                &format!("linux/{OTHER}"),
                "--platform=$BUILDPLATFORM",
                "tonistiigi/binfmt",
                "executor index",
            ],
        );
    }
    let pulls = layer_requests(&registry, before, &image);
    assert!(pulls.is_empty(), "{pulls:?}");

    let plan = Executor::new(Who::User).context(&context).arg(both());
    let plan = plan.arg("--dryrun").run();
    plan.assert_success();
    for architecture in [OTHER, OWN] {
        let heading = format!("platform linux/{architecture}");
        assert_eq!(printed(plan.stdout(), &heading), 1, "{}", plan.report());
    }
    assert!(
        plan.stderr().contains("would fail here"),
        "{}",
        plan.report()
    );
}

/// The cache has what was made of an image that says that it is for another machine.
#[test]
fn a_foreign_command_that_the_cache_answers_is_not_executed() {
    let registry = Registry::start();
    base_for(OTHER).push_to(&registry, "base:1");
    let base = registry.reference("base:1");
    let context = Context::new(format!("FROM {base}\nRUN touch /a\n"));
    let cache = CacheDir::new(Who::User);
    let build = |platform: &str| {
        let executor = Executor::new(Who::User).context(&context);
        let executor = executor.args(["--cache=true", &cache.flag(), "--no-push"]);
        executor.arg(format!("--platform=linux/{platform}")).run()
    };
    build(OTHER).assert_error(1, &["linux/s390x", "binfmt"]);
    build(OWN).assert_success();
    build(OTHER).assert_success();
}

#[test]
fn the_warmer_pulls_for_each_platform() {
    let registry = registry_with_base();
    let base = registry.reference("base:1");
    let cache = CacheDir::new(Who::Root);
    let platforms = format!("--platform=linux/{OTHER},linux/{OWN}");
    let warmed = cache.warmer(&["--image", &base, &platforms]);
    assert!(warmed.status.success(), "{}", text_of(&warmed));
    let index = Listed::read(&registry, "base:1");
    for digest in index.digests() {
        assert!(text_of(&warmed).contains(&format!("pulled {digest}")));
        assert!(cache.images().contains(&hex_of(digest).to_owned()));
    }
}

/// What `emulated.py` ends with where the kernel has no handlers for single namespaces.
const UNSUPPORTED: i32 = 77;

#[test]
fn a_foreign_command_is_executed_where_the_kernel_has_a_handler_that_works_in_any_root() {
    let registry = Registry::start();
    base_for(OTHER).push_to(&registry, "base:1");
    let context = Context::new(format!(
        "FROM {}\nRUN touch /a\n",
        registry.reference("base:1")
    ));
    let dir = TestDir::new();
    for name in ["handlers", "state"] {
        std::fs::create_dir(dir.join(name)).expect("make a directory");
    }
    // Instead of an emulator: ends with 0, whatever it is given.
    let interpreter = dir.join("true");
    std::fs::copy(busybox(), &interpreter).expect("copy busybox");
    // C is without effect here, but there must be something.
    for (flags, is_executed) in [("C", false), ("F", true)] {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/emulated.py");
        let context_flag = format!("--context={}", context.path().display());
        let dockerfile = format!("--dockerfile={}/Dockerfile", context.path().display());
        let state = format!("--state-dir={}", dir.join("state").display());
        let output = Tool::new("python3")
            .args([script, flags])
            .arg(&interpreter)
            .arg(dir.join("handlers"))
            .arg(env!("CARGO_BIN_EXE_executor"))
            .args([&context_flag, &dockerfile, &state])
            .args(["--no-push", &format!("--platform=linux/{OTHER}")])
            .output();
        if output.status.code() == Some(UNSUPPORTED) {
            eprintln!("not tried: this kernel has no handlers for single namespaces");
            return;
        }
        let said = text_of(&output);
        assert_eq!(output.status.success(), is_executed, "{flags}: {said}");
        let is_refused = said.contains("does not execute programs for linux/s390x");
        assert_eq!(is_refused, !is_executed, "{flags}: {said}");
    }
}

#[test]
fn stages_of_every_shape_are_shared_as_far_as_they_do_the_same() {
    let registry = registry_with_base();
    let base = registry.reference("base:1");
    let context = Context::new(format!(
        r#"FROM --platform=$BUILDPLATFORM {base} AS tools
RUN echo "too""ls" && echo tool > /tool
FROM --platform=$BUILDPLATFORM {base} AS own
RUN echo "common"
ARG TARGETARCH
ENV FOR=$TARGETARCH
RUN echo "own" && echo $FOR > /for
FROM own AS child
COPY --from=tools /tool /t
RUN --mount=from=tools,target=/mnt echo "child" && busybox cat /t /mnt/tool /for > /both
FROM --platform=$BUILDPLATFORM {base} AS same
COPY --from=tools /tool /
FROM same
ARG TARGETARCH
LABEL for=$TARGETARCH
COPY --from=child /both /
"#
    ));
    for args in [vec![], vec!["--storage=tree"]] {
        let executor = Executor::new(Who::User).context(&context).arg(both());
        let build = executor
            .args(&args)
            .destination(&registry.reference("app:1"))
            .run();
        build.assert_success();
        for (line, times) in [("tools", 1), ("common", 1), ("own", 2), ("child", 2)] {
            let found = printed(build.stdout(), line);
            assert_eq!(found, times, "{line}: {}", build.report());
        }
        let images = Listed::read(&registry, "app:1").images(&registry);
        for (image, architecture) in images.iter().zip([OTHER, OWN]) {
            assert_eq!(image.config["architecture"], architecture);
            assert_eq!(image.setting("Labels")["for"], architecture);
            let both = format!("tool\ntool\n{architecture}\n");
            assert_eq!(contents(image, "both"), file_of(&both));
            assert_eq!(contents(image, "architecture"), file_of(OWN));
        }
        let layers = images.iter().map(|image| image.diff_ids());
        let layers: Vec<Vec<String>> = layers.collect();
        assert_eq!(layers[0][..2], layers[1][..2], "made once, for both");
        assert_eq!(layers[0].len(), 3);
    }
}
