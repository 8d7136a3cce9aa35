//! What a build of several platforms is written to besides registries, and what can be done with it there.

use crate::support::entry::Entry;
use crate::support::image::array;
use crate::support::index::{Listed, OTHER, OWN, both, registry_with_base};
use crate::support::tool::Tool;
use crate::support::{Context, Executor, Image, Registry, TestDir, Tree, Who};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn context(registry: &Registry) -> Context {
    let base = registry.reference("base:1");
    let text =
        format!("FROM {base}\nARG TARGETARCH\nLABEL for=$TARGETARCH\nCOPY --chown=1:2 file /\n");
    Context::new(text).file("file", "contents")
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// What another command of the executor prints.
fn said(args: &[&str]) -> String {
    let run = Executor::new(Who::User).args(args).run_as_given();
    run.assert_success();
    run.stdout().to_owned()
}

#[test]
fn each_form_of_output_has_the_index_that_was_pushed() {
    let registry = registry_with_base();
    let executor = Executor::new(Who::User).context(&context(&registry));
    let out = |name: &str| executor.out(name).display().to_string();
    let args = [
        both(),
        format!("--output=type=oci,dest={}", out("oci.tar")),
        format!("--output=type=oci,tar=false,dest={}", out("layout")),
        format!("--output=type=tar,dest={}", out("files.tar")),
        format!("--output=type=local,dest={}", out("files")),
        format!("--metadata-file={}", out("metadata.json")),
        format!("--iidfile={}", out("id")),
        format!("--digest-file={}", out("digest")),
        "--annotation=index:of=index".to_owned(),
        "--annotation=of=manifests".to_owned(),
        format!("--annotation=manifest[linux/{OTHER}]:of=one"),
        format!("--annotation=manifest-descriptor[linux/{OWN}]:of=entry"),
        "--annotation=index-descriptor:of=list".to_owned(),
    ];
    let app = registry.reference("app:1");
    let build = executor.args(args).destination(&app).run();
    build.assert_success();

    let index = Listed::read(&registry, "app:1");
    let [other, own] = array(&index.json["manifests"]) else {
        panic!("{}", index.raw);
    };
    assert_eq!(index.json["annotations"], json!({"of": "index"}));
    assert_eq!(other["annotations"], Value::Null);
    assert_eq!(own["annotations"], json!({"of": "entry"}));
    let images = index.images(&registry);
    let of_manifests = images.iter().map(|image| &image.manifest["annotations"]);
    let expected = [json!({"of": "one"}), json!({"of": "manifests"})];
    assert_eq!(of_manifests.collect::<Vec<_>>(), Vec::from_iter(&expected));

    for name in ["digest", "id"] {
        assert_eq!(build.read(name), index.digest());
    }
    let metadata = json_of(&build.read("metadata.json"));
    assert_eq!(metadata["containerimage.digest"], index.digest());
    assert_eq!(metadata["containerimage.config.digest"], Value::Null);
    let descriptor = &metadata["containerimage.descriptor"];
    assert_eq!(descriptor["mediaType"], index.json["mediaType"]);
    assert_eq!(descriptor["annotations"], json!({"of": "list"}));
    assert_eq!(metadata["image.name"], app);

    // Another tool reads all of both, and checks each digest.
    let copied = TestDir::new();
    for (number, source) in [
        format!("oci-archive:{}:1", build.out("oci.tar").display()),
        format!("oci:{}:1", build.out("layout").display()),
    ]
    .iter()
    .enumerate()
    {
        let raw = Tool::new("skopeo").args(["inspect", "--raw", source]);
        assert_eq!(raw.run(), index.raw);
        let layout = format!("oci:{}", copied.join(number.to_string()).display());
        let skopeo = Tool::new("skopeo").args(["copy", "--quiet", "--all", source, &layout]);
        skopeo.run();
    }
    let listed = json_of(&build.read("layout/index.json"));
    assert_eq!(listed["manifests"][0]["annotations"]["of"], "list");

    let mut from_tar = Tree::default();
    from_tar.apply(fs::File::open(build.out("files.tar")).expect("open the tar"));
    for (image, architecture) in images.iter().zip([OTHER, OWN]) {
        let part = format!("linux_{architecture}");
        let read = |name: &str| build.read(&format!("files/{part}/{name}"));
        assert_eq!(read("architecture"), architecture);
        assert_eq!(read("file"), "contents");
        let tree = image.tree();
        for path in tree.paths() {
            let (found, expected) = (from_tar.get(&format!("{part}/{path}")), tree.get(path));
            let known = |entry: &Entry| (entry.kind.clone(), entry.mode, entry.uid, entry.gid);
            assert_eq!(known(found), known(expected), "{part}/{path}");
        }
    }
    index_in_a_file_is_of_use(&build.out(""), &index, &registry);
}

/// What the other commands do with an index in a file.
fn index_in_a_file_is_of_use(out: &Path, index: &Listed, registry: &Registry) {
    let place = |name: &str| out.join(name).display().to_string();
    let [other, own] = index.digests()[..] else {
        panic!("{}", index.raw);
    };
    for name in ["layout", "oci.tar"] {
        let path = place(name);
        assert_eq!(said(&["inspect", "--raw", &path]), index.raw);
        let shown = json_of(&said(&["inspect", &path]));
        assert_eq!(
            (&shown["digest"], &shown["index"]),
            (&json!(index.digest()), &index.json)
        );
        let platform = format!("--platform=linux/{OTHER}");
        let shown = json_of(&said(&["inspect", &platform, &path]));
        assert_eq!(shown["digest"], other);
        assert_eq!(shown["config"]["architecture"], OTHER);
        let child = format!("oci-layout://{path}@{own}");
        let shown = json_of(&said(&["inspect", &child]));
        assert_eq!(shown["config"]["architecture"], OWN);

        let unpack = Executor::new(Who::User).args(["unpack", &platform, &path]);
        let files = unpack.out("files");
        let unpacked = unpack.arg("--output").arg(&files).run_as_given();
        unpacked.assert_success();
        assert_eq!(unpacked.read("files/architecture"), OTHER);

        let push = |source: &str, args: &[&str], name: &str| {
            let push = Executor::new(Who::User).args(["push", source]).args(args);
            let push = push.destination(&registry.reference(name));
            push.run_as_given().assert_success();
            registry.inspect(name, &["--raw"])
        };
        assert_eq!(push(&path, &[], "again:1"), index.raw);
        let named = format!("oci-layout://{path}:1");
        assert_eq!(push(&named, &[], "again:2"), index.raw);
        push(&path, &[&platform], "again:3");
        assert_eq!(Image::pull(registry, "again:3").digest(), other);
        push(&child, &[], "again:4");
        assert_eq!(Image::pull(registry, "again:4").digest(), own);
    }
}

#[test]
fn of_several_images_in_a_layout_one_is_pushed_by_its_name() {
    let registry = registry_with_base();
    let shared = TestDir::new();
    fs::create_dir(shared.join("layout")).expect("make a directory");
    let account = Who::User.account();
    std::os::unix::fs::chown(shared.join("layout"), Some(account.uid), Some(account.gid))
        .expect("give it");
    let layout = shared.join("layout").display().to_string();
    // Two jobs at the same time.
    let jobs = ["one", "two"].map(|tag| {
        let executor = Executor::new(Who::User).context(&context(&registry));
        let output = format!("--output=type=oci,tar=false,dest={layout},name=app:{tag}");
        let executor = executor.args([both(), output, format!("--label=tag={tag}")]);
        executor.start()
    });
    for job in jobs {
        job.wait().assert_success();
    }
    let push = |source: &str| {
        let push = Executor::new(Who::User).args(["push", source]);
        push.destination(&registry.reference("app:1"))
            .run_as_given()
    };
    push(&layout).assert_error(1, &["2 images", "oci-layout://", ":TAG"]);
    push(&format!("oci-layout://{layout}:three")).assert_error(1, &["`three`", "`one`"]);
    for tag in ["one", "two"] {
        push(&format!("oci-layout://{layout}:{tag}")).assert_success();
        for image in Listed::read(&registry, "app:1").images(&registry) {
            assert_eq!(image.setting("Labels")["tag"], tag);
        }
    }
}

#[test]
fn what_holds_single_images_is_refused_before_the_build() {
    let registry = registry_with_base();
    let context = context(&registry);
    let build = |args: &[&str]| {
        let executor = Executor::new(Who::User).context(&context).arg("--no-push");
        executor.args(args).run()
    };
    let both = both();
    for (flag, name) in [
        ("--tar-path=x.tar", "--tar-path"),
        ("--output=type=docker,dest=x.tar", "--output type=docker"),
    ] {
        build(&[&both, flag]).assert_error(1, &[name, "docker save", "type=oci"]);
    }
    let docker = "--image-format=docker";
    let cases: [(&[&str], &[&str]); 3] = [
        (
            &["--annotation=index:a=b"],
            &["single image", "BUILDKIT_MULTI_PLATFORM=1"],
        ),
        (
            &["--annotation=manifest[linux/riscv64]:a=b", &both],
            &["linux/riscv64", OTHER],
        ),
        (
            &["--annotation=index:a=b", &both, docker],
            &["Docker", docker],
        ),
    ];
    for (args, parts) in cases {
        build(args).assert_error(1, parts);
    }
}
