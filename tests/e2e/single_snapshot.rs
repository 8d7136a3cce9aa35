//! `--single-snapshot`: a stage adds one layer, and the image has the files that it has without the flag.

use crate::caching::log::{assert_all_cached, assert_none_cached};
use crate::caching::project::Project;
use crate::support::cache_dir::CacheDir;
use crate::support::image::{array, hex_of, text};
use crate::support::index::{Listed, both, registry_with_base};
use crate::support::tool::Tool;
use crate::support::{
    Base, Context, Executor, Image, Registry, Site, TestDir, Tree, Who, check_image,
};

const FLAG: &str = "--single-snapshot";
const EPOCH: &str = "1577836800";

/// Stages on stages, whose steps undo what others did, by every kind of file.
fn context(base: &impl std::fmt::Display) -> Context {
    Context::new(format!(
        "FROM {base} AS parent\n\
         COPY tree /srv/\n\
         RUN cd /srv && ln a/b twin && ln a/b third && mkfifo pipe && mkdir -p big && i=0; \
             while [ $i -lt 300 ]; do echo $i > /srv/big/$i; i=$((i+1)); done\n\
         RUN rm -r /home /srv/big/1* && mkdir /home && echo new > /home/new && echo more >> /srv/a/b && rm /srv/third\n\
         LABEL of=parent\n\
         FROM parent AS empty\n\
         ENV NAME=value\n\
         FROM empty\n\
         WORKDIR /work/dir\n\
         RUN rm /srv/pipe && mkdir /srv/pipe && rm -r /srv/c && ln -s a /srv/c && chmod 2750 /srv && chown 7:8 /srv/twin\n\
         RUN rm -r /srv/a /home/new && echo file > /srv/a && ln /srv/a /srv/again && echo x > /gone\n\
         COPY --link tree /linked\n\
         RUN rm /gone && mv /srv/a /srv/z && rm /linked/c\n\
         USER 7\n"
    ))
    .file("tree/a/b", "b\n")
    .file("tree/c", "c\n")
    .symlink("tree/d", "c")
}

/// Paths with the first name of each file: which are hard links of which.
fn links(tree: &Tree) -> Vec<(&str, &str)> {
    let paths = tree.paths();
    paths.map(|path| (path, tree.first_name_of(path))).collect()
}

/// The instructions that the history gives a layer, with how many entries there are.
fn history(image: &Image) -> (Vec<&str>, usize) {
    let entries = array(&image.config["history"]);
    let of_layers = entries.iter().filter(|entry| entry["empty_layer"] != true);
    let said = of_layers.map(|entry| text(&entry["created_by"]));
    (said.collect(), entries.len())
}

#[test]
fn a_stage_adds_one_layer_that_gives_the_files_its_steps_make() {
    let site = Site::busybox();
    let context = context(&site.base);
    let build = |who, flags: &[&str]| {
        let executor = site.executor(who, &context).env("SOURCE_DATE_EPOCH", EPOCH);
        site.build_with(executor.args(flags))
    };
    let many = build(Who::Root, &[]);
    let [root, user] = Who::BOTH.map(|who| build(who, &[FLAG]));
    assert_eq!(root.digest(), user.digest());
    let own = site.base.diff_ids.len();
    assert_eq!((many.layers.len(), root.layers.len()), (own + 8, own + 2));

    let (expected, tree) = (many.tree(), root.tree());
    assert_eq!(tree.differences(&expected), Vec::<String>::new());
    assert_eq!(links(&tree), links(&expected));

    let (all, count) = history(&many);
    let (said, same_count) = history(&root);
    assert_eq!(count, same_count, "every instruction is told");
    assert_eq!(said[..own], all[..own]);
    assert!(said[own].contains("rm /srv/third"), "{said:?}");
    assert!(said[own + 1].contains("rm /linked/c"), "{said:?}");
    assert_eq!(root.setting("User"), "7");

    // Another program applies the layers as these tests do.
    let dir = TestDir::new();
    let layout = dir.join("layout").display().to_string();
    let (source, target) = (
        format!("docker://{}", site.app()),
        format!("oci:{layout}:app"),
    );
    let skopeo = Tool::new("skopeo").args(["copy", "--quiet", "--src-tls-verify=false"]);
    skopeo.args([&source, &target]).run();
    let bundle = dir.join("bundle");
    let umoci = Tool::new("umoci").args(["unpack", "--image", &format!("{layout}:app")]);
    umoci.arg(&bundle).run();
    let unpacked = Tree::of_directory(&bundle.join("rootfs"));
    assert_eq!(unpacked.differences(&expected), Vec::<String>::new());

    let zstd = build(Who::User, &[FLAG, "--compression=zstd"]);
    assert_eq!(zstd.diff_ids(), root.diff_ids());
}

#[test]
fn the_caches_have_the_layers_of_steps_and_the_image_is_the_same_with_and_without_them() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let cached = ["--cache", "--cache-copy-layers"];
    let repository = Project::new(&registry, "app", context(&base));
    let nothing = repository.build(&[FLAG]);
    let first = repository.build(&[FLAG, cached[0], cached[1]]);
    assert_none_cached(&first.build);
    let before = registry.requests().len();
    let second = repository.build(&[FLAG, cached[0], cached[1]]);
    assert_all_cached(&second.build);
    let requests = registry.requests().split_off(before);
    assert_eq!([&first.digest, &second.digest], [&nothing.digest; 2]);
    check_image(&registry, "app:1", &base);
    // What it has kept is what a build without the flag looks for, and the other way round.
    let without_flag = repository.build(&cached);
    assert_all_cached(&without_flag.build);
    repository.assert_same_as_uncached(&without_flag, &[], &base);
    let of_steps = repository.pull(&without_flag.digest);
    let of_stages = repository.pull(&nothing.digest);
    for layer in of_steps.layers.iter().chain(&of_stages.layers) {
        let is_fetched = |request: &&String| {
            request.starts_with("GET ") && request.contains(hex_of(&layer.digest))
        };
        assert_eq!(requests.iter().find(is_fetched), None);
    }

    let dir = CacheDir::new(Who::Root);
    let flags = [FLAG, "--cache", &dir.flag()];
    let directory = Project::new(&registry, "other", context(&base));
    assert_eq!(directory.build(&flags).digest, nothing.digest);
    let again = directory.build(&flags);
    assert_all_cached(&again.build);
    assert_eq!(again.digest, nothing.digest);
}

#[test]
fn every_platform_has_one_layer_for_each_stage_of_its_own() {
    let registry = registry_with_base();
    let base = registry.reference("base:1");
    // What is common to the platforms becomes a stage, but none of the Dockerfile's.
    let context = Context::new(format!(
        "FROM --platform=$BUILDPLATFORM {base} AS parent\nCOPY one /one\nCOPY two /two\n\
         FROM parent\nCOPY two /one\nARG TARGETARCH\nCOPY $TARGETARCH /own\nWORKDIR /dir\n"
    ))
    .file("one", "1")
    .file("two", "2")
    .file("amd64", "a")
    .file("arm64", "a")
    .file("s390x", "s");
    let build = |flags: &[&str]| {
        let executor = Executor::new(Who::User).context(&context).arg(both());
        let executor = executor.args(flags).env("SOURCE_DATE_EPOCH", EPOCH);
        let several = ["app:1", "app:2"].map(|name| registry.reference(name));
        let executor = several
            .iter()
            .fold(executor, |executor, name| executor.destination(name));
        executor.run().assert_success();
        assert_eq!(
            registry.inspect("app:1", &["--raw"]),
            registry.inspect("app:2", &["--raw"])
        );
        Listed::read(&registry, "app:1").images(&registry)
    };
    let (many, one) = (build(&[]), build(&[FLAG]));
    for (many, one) in many.iter().zip(&one) {
        assert_eq!((many.layers.len(), one.layers.len()), (6, 3));
        assert_eq!(many.layers[0].digest, one.layers[0].digest);
        assert_eq!(one.tree().differences(&many.tree()), Vec::<String>::new());
        assert_eq!(history(one).0.len(), 3);
    }
    assert_eq!(one[0].layers[1].digest, one[1].layers[1].digest);
}
