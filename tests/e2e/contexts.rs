//! `--build-context`: what stands in for images and stages (reference 1.12, named contexts).

use crate::support::registry::Registry;
use crate::support::tool::Tool;
use crate::support::{
    BaseImage, Context, CraftedImage, Encoding, Executor, Family, Image, Kind, LayerTar, Site,
    TestDir, Who, check_image, site,
};
use serde_json::json;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

/// A crafted image with one file, and an ONBUILD of its own.
fn crafted(content: &str) -> CraftedImage {
    CraftedImage::new(Family::Oci).layer(
        LayerTar::new().shell().file("said", content),
        Encoding::Gzip,
    )
}

/// Copies an image of the registry into a layout.
fn layout_of(registry: &Registry, name: &str, dir: &TestDir, tag: &str) -> String {
    let path = dir.join("layout").display().to_string();
    Tool::new("skopeo")
        .args(["copy", "--quiet", "--src-tls-verify=false"])
        .arg(format!("docker://{}", registry.reference(name)))
        .arg(format!("oci:{path}:{tag}"))
        .run();
    path
}

/// Builds `APP` and returns its image, checked over `base`.
fn built(site: &Site, executor: Executor, base: &BaseImage) -> Image {
    executor
        .destination(&site.app())
        .run()
        .assert_success()
        .assert_clean_end();
    check_image(&site.registry, site::APP, base)
}

#[test]
fn an_image_stands_in_for_an_image_a_stage_and_what_is_copied_or_mounted_from() {
    let site = Site::busybox();
    crafted("stand-in").push_to(&site.registry, "other:1");
    let base = &site.base;
    // The stage's own lines do not count, nor is its image asked for.
    let context = Context::new(
        "FROM nowhere.invalid/missing:7 AS Tools\nRUN false\n\
         FROM tools AS on-a-stage\nRUN test \"$(cat /said)\" = stand-in && touch /on-a-stage\n\
         FROM nowhere.invalid/base\n\
         COPY --from=on-a-stage /on-a-stage /\n\
         COPY --from=tools /said /from-stage\n\
         COPY --from=0 /said /from-number\n\
         COPY --from=nowhere.invalid/copied:1 /said /from-image\n\
         RUN --mount=from=nowhere.invalid/copied:1,target=/m cp /m/said /from-mount\n",
    );
    let other = site.registry.reference("other:1");
    for who in Who::BOTH {
        let executor = Executor::new(who)
            .context(&context)
            .arg(format!("--build-context=TOOLS=docker-image://{other}"))
            .arg(format!(
                "--build-context=nowhere.invalid/base:latest=docker-image://{base}"
            ))
            .arg(format!(
                "--build-context=nowhere.invalid/copied:1=docker-image://{other}"
            ))
            .arg("--build-context=unused=/does/not/exist")
            .arg("--build-context=unused-too=https://nowhere.invalid/x.git");
        let tree = built(&site, executor, base).tree();
        for name in ["from-stage", "from-number", "from-image", "from-mount"] {
            assert_eq!(tree.get(name).kind, Kind::file("stand-in"), "{name}");
        }
        assert!(tree.has("on-a-stage"));
    }
}

#[test]
fn a_directory_stands_in_lazily_with_its_own_ignore_file_and_all_is_roots() {
    let site = Site::busybox();
    let named = Context::without_dockerfile()
        .file("kept", "k")
        .file("dropped", "d")
        .file("sub/x", "x")
        .file(".dockerignore", "dropped\n.dockerignore\n")
        .mode("kept", 0o640);
    let context = site
        .context(
            "COPY --from=files kept /\nCOPY --from=files sub /sub\nCOPY main /\n\
             RUN --mount=from=files,target=/m ls -A /m > /listed && test \"$(stat -c %u:%g /m/kept)\" = 0:0",
        )
        .file("main", "m")
        .file(".dockerignore", "kept\n");
    for who in Who::BOTH {
        let executor = Executor::new(who)
            .context(&context)
            .named_context("files", &named);
        let image = built(&site, executor, &site.base);
        let tree = image.tree();
        let kept = tree.get("kept");
        assert_eq!((kept.uid, kept.gid, kept.mode), (0, 0, 0o640));
        assert!(tree.has("sub/x") && tree.has("main"));
        assert_eq!(tree.get("listed").kind, Kind::file("kept\nsub\n"));
        let history = image.history();
        assert!(history.contains(&"COPY kept / # buildkit"), "{history:?}");
    }
    let context = site.context("COPY --from=files dropped /");
    let build = Executor::new(Who::Root)
        .context(&context)
        .named_context("files", &named)
        .destination(&site.app())
        .run();
    build.assert_error(1, &["Dockerfile:2", "hint: ", "line 1 of", "dropped"]);
}

#[test]
fn of_a_directory_only_what_a_step_takes_is_read() {
    let site = Site::busybox();
    let named = Context::without_dockerfile()
        .file("taken", "t")
        .file("closed", "c");
    let executor = Executor::new(Who::User)
        .context(&site.context("COPY --from=files taken /"))
        .named_context("files", &named);
    let closed = named.path().join("closed");
    chown(&closed, Some(0), Some(0)).expect("take the file from the account");
    fs::set_permissions(&closed, Permissions::from_mode(0o000)).expect("close the file");
    assert!(built(&site, executor, &site.base).tree().has("taken"));
}

#[test]
fn a_directory_stands_in_for_a_base_and_for_a_stage() {
    let site = Site::busybox();
    let named = Context::without_dockerfile()
        .file("etc/made", "m")
        .symlink("link", "etc/made")
        .file("left-out", "")
        .file(".dockerignore", "left-out\n.docker*\n");
    let context = Context::new(
        "FROM scratch AS stage\nCOPY nowhere /\nFROM stage AS second\nCOPY own /\nFROM second\nCOPY own /again\n",
    )
    .file("own", "o");
    for who in Who::BOTH {
        let executor = Executor::new(who)
            .context(&context)
            .named_context("stage", &named);
        let image = built(&site, executor, &BaseImage::scratch());
        let tree = image.tree();
        let paths: Vec<&str> = tree.paths().collect();
        assert_eq!(paths, ["again", "etc", "etc/made", "link", "own"]);
        assert_eq!(image.layers.len(), 3);
        assert_eq!(*image.setting("WorkingDir"), json!("/"));
        let expected = [
            "[context stage] load from directory",
            "COPY own / # buildkit",
            "COPY own /again # buildkit",
        ];
        assert_eq!(image.history(), expected);
    }
}

#[test]
fn an_image_of_a_layout_is_as_good_as_one_of_a_registry() {
    let site = Site::busybox();
    crafted("in a layout")
        .config("OnBuild", json!(["RUN touch /triggered"]))
        .config("Env", json!(["FROM_LAYOUT=yes"]))
        .push_to(&site.registry, "crafted:1");
    let base = BaseImage::in_registry(&site.registry, "crafted:1");
    let dir = TestDir::new();
    let path = layout_of(&site.registry, "crafted:1", &dir, "v1");
    layout_of(&site.registry, "base/busybox:1", &dir, "box");
    let digest = Image::pull(&site.registry, "crafted:1").digest();
    let context = Context::new(
        "FROM base\nRUN test $FROM_LAYOUT = yes; read said < /said; echo -n \"$said\" > /seen\nCOPY --from=tool /bin/busybox /bb\n",
    );
    for (who, isolation) in [
        (Who::Root, "--isolation=ns"),
        (Who::User, "--isolation=userns"),
        (Who::Root, "--isolation=chroot"),
    ] {
        for name in [format!("{path}:v1"), format!("{path}@{digest}")] {
            let executor = Executor::new(who)
                .context(&context)
                .arg(isolation)
                .arg(format!("--build-context=base=oci-layout://{name}"))
                .arg(format!("--build-context=tool=oci-layout://{path}:box"));
            let image = built(&site, executor, &base);
            let tree = image.tree();
            assert_eq!(tree.get("seen").kind, Kind::file("in a layout"));
            assert!(tree.has("bb") && tree.has("triggered"));
            assert!(image.setting("OnBuild").is_null());
        }
    }
    // An image without a step of its own: the layers go from the layout to the registry.
    let plain = Context::new("FROM base\nENV A=b\n");
    crafted("plain").push_to(&site.registry, "plain:1");
    let dir = TestDir::new();
    let path = layout_of(&site.registry, "plain:1", &dir, "latest");
    let executor = Executor::new(Who::User)
        .context(&plain)
        .arg(format!("--build-context=base=oci-layout://{path}"));
    let copy = executor.out("copy");
    let executor = executor.arg("--oci-layout-path").arg(&copy);
    let base = BaseImage::in_registry(&site.registry, "plain:1");
    assert_eq!(built(&site, executor, &base).layers.len(), 1);
}

#[test]
fn a_target_that_something_stands_in_for_is_that_as_it_is() {
    let site = Site::busybox();
    crafted("x")
        .config("OnBuild", json!(["RUN false"]))
        .push_to(&site.registry, "crafted:1");
    let context = Context::new("FROM nowhere.invalid/x AS target\nRUN false\nENV A=b\n");
    let executor = Executor::new(Who::User)
        .context(&context)
        .arg("--target=target")
        .arg(format!(
            "--build-context=target=docker-image://{}",
            site.registry.reference("crafted:1")
        ));
    let base = BaseImage::in_registry(&site.registry, "crafted:1");
    let image = built(&site, executor, &base);
    assert_eq!(image.layers.len(), 1);
    assert_eq!(*image.setting("OnBuild"), json!(["RUN false"]));
    assert_eq!(image.history(), ["crafted"]);
}

#[test]
fn a_layout_that_is_damaged_or_lacks_the_image_is_refused_with_the_line() {
    let site = Site::busybox();
    crafted("x").push_to(&site.registry, "crafted:1");
    let dir = TestDir::new();
    let path = layout_of(&site.registry, "crafted:1", &dir, "v1");
    let layer = Image::pull(&site.registry, "crafted:1").layers[0]
        .digest
        .replace("sha256:", "");
    let build = |lines: &str, value: &str| {
        Executor::new(Who::User)
            .context(&Context::new(format!("FROM base\n{lines}\n")))
            .arg(format!("--build-context=base={value}"))
            .destination(&site.app())
            .run()
    };
    let absent = "sha256:".to_owned() + &"0".repeat(64);
    let cases = [
        (format!("oci-layout://{path}:v2"), "only `v1`"),
        (format!("oci-layout://{path}@{absent}"), "cannot open"),
        ("oci-layout:///nowhere".to_owned(), "/nowhere"),
        ("/nowhere".to_owned(), "/nowhere"),
        ("git://h/x".to_owned(), "cannot fetch the build context"),
    ];
    for (value, part) in &cases {
        let failed = build("RUN true", value);
        failed.assert_error(1, &["Dockerfile:1", "build context `base`", part]);
    }
    let blob = dir.join("layout/blobs/sha256").join(&layer);
    let mut bytes = fs::read(&blob).expect("read a layer");
    *bytes.last_mut().expect("bytes") ^= 1;
    fs::write(&blob, bytes).expect("damage a layer");
    for lines in ["RUN true", "ENV A=b"] {
        let failed = build(lines, &format!("oci-layout://{path}:v1"));
        failed.assert_error(1, &[&layer, "its bytes have the digest"]);
    }
    site.assert_nothing_pushed();
}

#[test]
fn what_is_for_a_platform_comes_first_and_scratch_can_stand_in() {
    let site = Site::busybox();
    let named = |content: &str| Context::without_dockerfile().file("f", content);
    let (any, arm) = (named("any"), named("arm"));
    let context = Context::new(
        "FROM --platform=linux/arm64 files AS arm\nFROM files AS any\nFROM nowhere.invalid/x\nCOPY --from=arm f /arm\nCOPY --from=any f /any\n",
    );
    let executor = Executor::new(Who::User)
        .context(&context)
        .arg("--platform=linux/amd64")
        .arg("--build-context=nowhere.invalid/x=docker-image://scratch")
        .named_context("files", &any)
        .named_context("files::linux/arm64", &arm);
    let tree = built(&site, executor, &BaseImage::scratch()).tree();
    assert_eq!(tree.get("arm").kind, Kind::file("arm"));
    assert_eq!(tree.get("any").kind, Kind::file("any"));
}

#[test]
fn a_context_that_means_nothing_is_refused_before_the_build() {
    let site = Site::busybox();
    let context = site.context("RUN true");
    for (flag, part) in [
        ("--build-context=scratch=.", "`scratch` cannot be replaced"),
        ("--build-context=name", "expected NAME=CONTEXT"),
        ("--build-context=a=target:b", "not supported: `target:`"),
        (
            "--build-context=a=s3://b",
            "not supported: a named context from s3://",
        ),
    ] {
        let build = site.executor(Who::User, &context).arg(flag).run();
        let name = flag.split('=').nth(1).expect("a name");
        build.assert_error(1, &[name, part]);
    }
}
