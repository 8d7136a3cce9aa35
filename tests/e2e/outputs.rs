//! What a build is written to besides registries: `--output`, archives on standard output, and the files that tell of it.

use crate::support::container::Bundle;
use crate::support::registry::PASSWORD;
use crate::support::tool::Tool;
use crate::support::{Context, Executor, FileServer, Image, Kind, Site, Tree, Who, check_image};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A stage with whatever is hard to carry: owners, set-id bits, a directory that its owner cannot enter, links, a deletion.
const FILES: &str = "RUN echo text > /file && chown 1:2 /file && chmod 4755 /file && ln /file /other && ln -s file /link \
    && mkdir -p /closed/deep && echo x > /closed/deep/secret && chmod 0 /closed/deep/secret /closed/deep /closed \
    && mkfifo -m 600 /pipe && mkdir -m 1777 /open\nRUN rm /other && echo printed && echo again > /open/new";

fn copied(archive: &str, path: &Path) -> Image {
    Image::copied_from(&format!("{archive}:{}", path.display()))
}

fn no_differences(one: &Tree, other: &Tree, what: &str) {
    assert_eq!(one.differences(other), Vec::<String>::new(), "{what}");
}

#[test]
fn each_form_of_output_has_the_image_that_was_pushed() {
    let site = Site::busybox();
    for who in Who::BOTH {
        let executor = site.executor(who, &site.context(FILES));
        let out = |name: &str| executor.out(name).display().to_string();
        let outputs = [
            format!("type=oci,dest={}", out("oci.tar")),
            format!("type=oci,tar=false,dest={}", out("layout")),
            format!("type=docker,dest={},name=app:2", out("docker.tar")),
            format!("type=tar,dest={}", out("files.tar")),
            format!("type=local,dest={}", out("new/files")),
        ];
        let outputs = outputs.map(|output| format!("--output={output}"));
        let build = executor.args(outputs).run();
        build.assert_success();
        let pushed = check_image(&site.registry, "app:1", &site.base);
        let what = format!("{who:?}");
        let from_oci = copied("oci-archive", &build.out("oci.tar"));
        assert_eq!(from_oci.digest(), pushed.digest(), "{what}");
        // Under the destination's tag, so that several can be told apart.
        let named = Image::copied_from(&format!("oci:{}:1", build.out("layout").display()));
        assert_eq!(named.digest(), pushed.digest(), "{what}");
        let docker = format!("docker-archive:{}:app:2", build.out("docker.tar").display());
        assert_eq!(
            Image::copied_from(&docker).diff_ids(),
            pushed.diff_ids(),
            "{what}"
        );
        let mut from_tar = Tree::default();
        from_tar.apply(fs::File::open(build.out("files.tar")).expect("open the tar"));
        no_differences(&from_tar, &pushed.tree(), &what);
        let account = who.account();
        let owned = pushed
            .tree()
            .of_user(account.uid.into(), account.gid.into());
        let files = Tree::of_directory(&build.out("new/files"));
        no_differences(&files, &owned, &what);
        assert_eq!(
            fs::read_dir(build.out("new")).expect("read").count(),
            1,
            "{what}"
        );
    }
}

#[test]
fn a_layout_of_each_compression_and_level_is_read_by_others() {
    let site = Site::busybox();
    for (compression, level) in [("gzip", 9), ("zstd", 19)] {
        let executor = Executor::new(Who::User)
            .context(
                &site
                    .context("COPY file /")
                    .file("file", "same".repeat(1000)),
            )
            .args(["--no-push", &format!("--compression={compression}")])
            .arg(format!("--compression-level={level}"));
        let layout = executor.out("layout");
        let build = executor.arg("--oci-layout-path").arg(&layout).run();
        build.assert_success();
        let image = copied("oci", &layout);
        let own = image.layers.last().expect("a layer");
        assert!(own.media_type.ends_with(compression), "{}", own.media_type);
        let tree = image.tree();
        assert_eq!(tree.get("file").kind, Kind::file(&"same".repeat(1000)));
        // umoci knows no zstd.
        if compression == "gzip" {
            no_differences(&Bundle::unpack(&image).tree(), &tree, compression);
        }
    }
}

#[test]
fn an_archive_goes_to_standard_output_and_nothing_else_does() {
    let site = Site::busybox();
    let context = site.context("RUN echo printed by a step");
    for flags in [
        &["--tar-path=-"][..],
        &["--output", "type=oci"],
        &["-o", "-"],
    ] {
        let build = site
            .executor(Who::User, &context)
            .args(flags)
            .arg("--no-push")
            .run();
        build.assert_success();
        assert!(
            build.stderr().contains("printed by a step\n"),
            "{}",
            build.report()
        );
        let path = build.out("archive.tar");
        fs::write(&path, build.stdout_bytes()).expect("write the archive");
        match flags {
            ["--tar-path=-"] => assert_eq!(copied("docker-archive", &path).layers.len(), 2),
            ["-o", "-"] => {
                let mut files = Tree::default();
                files.apply(fs::File::open(&path).expect("open the tar"));
                assert!(files.has("bin/busybox"));
            }
            _ => assert_eq!(copied("oci-archive", &path).layers.len(), 2),
        }
    }
    let both = site
        .executor(Who::User, &context)
        .args(["--tar-path=-", "-o", "-"]);
    both.run()
        .assert_error(1, &["only one output can go to standard output"]);
}

#[test]
fn files_are_merged_into_a_directory_that_is_there() {
    let executor = Executor::new(Who::User);
    let dir = executor.out("files");
    let context = Context::new("FROM scratch\nCOPY --chmod=640 a /a\nCOPY c /b/c\nCOPY d /d/")
        .file("a", "new a")
        .file("c", "new c")
        .file("d", "a file in a directory");
    let account = Who::User.account();
    for name in ["b", "b/kept"] {
        fs::create_dir_all(dir.join(name)).expect("make a directory");
    }
    fs::write(dir.join("a"), "old").expect("write");
    fs::write(dir.join("d"), "where a directory will be").expect("write");
    fs::create_dir(dir.join("b/c")).expect("make a directory");
    for entry in walkdir::WalkDir::new(&dir) {
        let path = entry.expect("walk").into_path();
        std::os::unix::fs::chown(path, Some(account.uid), Some(account.gid)).expect("give");
    }
    let build = executor.context(&context).arg("-o").arg(&dir).run();
    build.assert_success();
    let tree = Tree::of_directory(&build.out("files"));
    let paths: Vec<_> = tree.paths().collect();
    assert_eq!(paths, ["a", "b", "b/c", "b/kept", "d", "d/d"]);
    assert_eq!(build.read("files/a"), "new a");
    assert_eq!(build.read("files/b/c"), "new c");
    assert_eq!(tree.get("a").mode, 0o640);
}

#[test]
fn an_output_that_cannot_be_written_leaves_nothing() {
    let site = Site::busybox();
    let executor = site
        .executor(Who::User, &site.context("RUN touch /new"))
        .arg("--no-push");
    let place = executor.out("missing/image.tar");
    let build = executor
        .arg(format!("--output=type=docker,dest={}", place.display()))
        .run();
    build.assert_error(1, &["missing/image.tar"]);
    assert_eq!(fs::read_dir(build.out("")).expect("read").count(), 0);
    let none = site.executor(Who::User, &site.context("RUN touch /new"));
    let none = none.arg("--output=type=local,dest=x,mode=delete").run();
    none.assert_error(1, &["not supported: `mode`"]);
}

#[test]
fn files_tell_other_programs_what_was_built() {
    let site = Site::busybox();
    let server = FileServer::start_with_tls();
    let executor = site.executor(Who::User, &site.context("RUN touch /new"));
    let out = |name: &str| executor.out(name).display().to_string();
    let flags = [
        format!("--metadata-file={}", out("metadata.json")),
        format!("--iidfile={}", out("id")),
        format!("--dotenv-file={}", out("build.env")),
        format!("--digest-file={}", server.url("flaky/digest")),
        format!(
            "--registry-certificate={}={}",
            server.host(),
            server.ca_file().display()
        ),
    ];
    let output_dir = executor.out("builder");
    let build = executor.args(flags).env("BUILDER_OUTPUT", output_dir).run();
    build.assert_success();
    let pushed = check_image(&site.registry, "app:1", &site.base);
    let (digest, app) = (pushed.digest(), site.app());
    let config_digest = pushed.manifest["config"]["digest"].as_str().expect("text");
    let metadata: Value = serde_json::from_str(&build.read("metadata.json")).expect("JSON");
    assert_eq!(metadata["containerimage.digest"], digest);
    assert_eq!(metadata["containerimage.config.digest"], config_digest);
    assert_eq!(metadata["containerimage.descriptor"]["digest"], digest);
    assert_eq!(metadata["image.name"], app);
    assert_eq!(build.read("id"), config_digest);
    let variables = build.read("build.env");
    assert!(
        variables.contains(&format!("IMAGE_REF={app}@{digest}\n")),
        "{variables}"
    );
    let images: Value = serde_json::from_str(&build.read("builder/images")).expect("JSON");
    assert_eq!(images, serde_json::json!({"name": app, "digest": digest}));
    let sent = fs::read_to_string(server.files().join("digest")).expect("it was sent");
    assert_eq!(sent, format!("text/plain\n{digest}"));
}

#[test]
fn a_digest_that_a_server_does_not_take_is_an_error_without_its_password() {
    let site = Site::busybox();
    let server = FileServer::start_with_tls();
    let url = server
        .url("private/digest")
        .replace("https://", &format!("https://me:{PASSWORD}@"));
    let ca = format!("{}={}", server.host(), server.ca_file().display());
    let executor = site.executor(Who::User, &site.context("LABEL a=b"));
    let executor = executor.arg(format!("--digest-file={url}"));
    let build = executor.arg(format!("--registry-certificate={ca}")).run();
    build.assert_error(1, &["--digest-file", "401", "/private/digest"]);
    assert!(!build.stderr().contains(PASSWORD), "{}", build.report());
}

#[test]
fn annotations_are_of_the_manifest_and_those_of_the_base_are_not_inherited() {
    let site = Site::busybox();
    let executor = site.executor(Who::User, &site.context("LABEL a=b")).args([
        "--annotation",
        "org.example.one=1",
        "--annotation=manifest:two=2",
    ]);
    let first = site.build_with(executor);
    let expected = serde_json::json!({"org.example.one": "1", "two": "2"});
    assert_eq!(first.manifest["annotations"], expected);
    let context = Context::new(format!("FROM {}\nLABEL c=d\n", site.app()));
    let executor = site
        .executor(Who::User, &context)
        .args(["--output", "type=image,push=true,annotation.three=3"]);
    executor.run().assert_success();
    let second = Image::pull(&site.registry, "app:1");
    assert_eq!(
        second.manifest["annotations"],
        serde_json::json!({"three": "3"})
    );
    let refused = site
        .executor(Who::User, &context)
        .arg("--annotation=index:a=b");
    refused
        .run()
        .assert_error(1, &["annotations of an index", "single image"]);
}

#[test]
fn zstd_with_dockers_media_types_falls_back_to_gzip_with_a_warning() {
    let site = Site::busybox();
    let executor = site
        .executor(Who::User, &site.context("RUN touch /new"))
        .args(["--compression=zstd", "--image-format=docker"]);
    let build = executor.run();
    build.assert_success();
    assert!(
        build
            .stderr()
            .contains("warning: --compression=zstd has no effect"),
        "{}",
        build.report()
    );
    let image = check_image(&site.registry, "app:1", &site.base);
    for layer in &image.layers {
        assert_eq!(
            layer.media_type,
            "application/vnd.docker.image.rootfs.diff.tar.gzip"
        );
    }
    Tool::new("skopeo")
        .args([
            "inspect",
            "--tls-verify=false",
            &format!("docker://{}", site.app()),
        ])
        .run();
}
