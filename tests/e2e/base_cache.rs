//! Base images in the cache directory: written through, found again, in our form and in kaniko's two.

use crate::support::cache_dir::{CacheDir, layer_requests, names, text_of};
use crate::support::image::hex_of;
use crate::support::registry::free_port;
use crate::support::tool::Tool;
use crate::support::{
    BaseImage, Context, CraftedImage, Encoding, Executor, Family, Image, LayerTar, Registry, Site,
    Who, check_image,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The steps are executed each time: what is looked at is what they stand on.
const STEPS_ARE_NOT_CACHED: [&str; 2] = ["--cache-run-layers=false", "--cache-copy-layers=false"];

/// A base of two layers in a registry.
struct Base {
    registry: Registry,
    image: Image,
    base: BaseImage,
}

impl Base {
    fn new() -> Self {
        let registry = Registry::start();
        let layers = [
            LayerTar::new().shell().file("gone", "x"),
            LayerTar::new().file("hello", "hello").whiteout("gone"),
        ];
        let image = CraftedImage::new(Family::Oci);
        let encodings = [Encoding::Gzip, Encoding::Zstd];
        let image = layers
            .into_iter()
            .zip(encodings)
            .fold(image, |image, (tar, encoding)| image.layer(tar, encoding));
        image.push_to(&registry, "base:1");
        Self {
            image: Image::pull(&registry, "base:1"),
            base: BaseImage::in_registry(&registry, "base:1"),
            registry,
        }
    }

    fn context(&self, lines: &str) -> Context {
        Context::new(format!("FROM {}\n{lines}\n", self.base))
    }

    /// Builds with a RUN on the base, and returns the requests for its layers.
    fn run_and_list_pulls(&self, who: Who, args: &[&str]) -> Vec<String> {
        let before = self.registry.requests().len();
        let context =
            self.context("RUN [\"/bin/sh\", \"-c\", \"test ! -e /gone && echo >> /hello\"]");
        Executor::new(who)
            .context(&context)
            .destination(&self.registry.reference("app:1"))
            .args(STEPS_ARE_NOT_CACHED)
            .args(args)
            .run()
            .assert_success();
        let pulls = layer_requests(&self.registry, before, &self.image);
        check_image(&self.registry, "app:1", &self.base);
        pulls
    }
}

#[test]
fn a_base_that_was_pulled_is_not_pulled_again() {
    let base = Base::new();
    for (who, args) in [
        (Who::Root, vec![]),
        (Who::User, vec![]),
        (Who::Root, vec!["--storage=tree"]),
        (Who::Root, vec!["--isolation=chroot"]),
    ] {
        let cache = CacheDir::new(who);
        let flag = cache.flag();
        let args: Vec<&str> = args.into_iter().chain([flag.as_str()]).collect();
        let pulls = base.run_and_list_pulls(who, &args);
        assert_eq!(pulls.len(), 2, "{who:?} {args:?}: {pulls:?}");
        assert_eq!(cache.images(), [hex_of(&base.image.digest())]);
        let pulls = base.run_and_list_pulls(who, &args);
        assert!(pulls.is_empty(), "{who:?} {args:?}: {pulls:?}");
        cache.assert_whole();
    }
}

#[test]
fn no_layer_is_pulled_only_to_be_kept() {
    let base = Base::new();
    let cache = CacheDir::new(Who::Root);
    let before = base.registry.requests().len();
    Executor::new(Who::Root)
        .context(&base.context("ENV a=b"))
        .destination(&base.registry.reference("app:1"))
        .arg(cache.flag())
        .run()
        .assert_success();
    let pulls = layer_requests(&base.registry, before, &base.image);
    assert!(pulls.is_empty(), "{pulls:?}");
    assert!(cache.images().is_empty());
}

#[test]
fn a_base_that_is_copied_from_is_kept_and_pushed_elsewhere_without_a_pull() {
    let base = Base::new();
    let cache = CacheDir::new(Who::User);
    let copy = |lines: &str| {
        let elsewhere = Registry::start();
        let before = base.registry.requests().len();
        Executor::new(Who::User)
            .context(&Context::new(lines))
            .destination(&elsewhere.reference("app:1"))
            .arg(cache.flag())
            .run()
            .assert_success();
        layer_requests(&base.registry, before, &base.image).len()
    };
    let reference = &base.base.reference;
    assert_eq!(
        copy(&format!("FROM scratch\nCOPY --from={reference} hello /\n")),
        2
    );
    assert_eq!(copy(&format!("FROM {reference}\nLABEL a=b\n")), 0);
}

#[test]
fn a_directory_that_cannot_be_written_is_only_read() {
    let base = Base::new();
    let cache = CacheDir::new(Who::Root);
    assert_eq!(
        base.run_and_list_pulls(Who::Root, &[&cache.flag()]).len(),
        2
    );
    let list = || {
        Tool::new("find")
            .arg(cache.path())
            .args(["-printf", "%p %m %T@\\n"])
            .run()
    };
    let before = list();
    assert!(
        base.run_and_list_pulls(Who::User, &[&cache.flag()])
            .is_empty()
    );
    assert_eq!(list(), before);
}

#[test]
fn a_directory_that_is_of_no_use_is_a_warning() {
    let site = Site::busybox();
    let context = site.context("RUN true");
    let executor = site.executor(Who::Root, &context);
    let file = executor.out("file");
    fs::write(&file, "").expect("write a file");
    let build = executor.arg("--cache-dir").arg(&file).run();
    build.assert_success();
    assert!(
        build.stderr().contains("warning: the cache directory"),
        "{}",
        build.report()
    );
}

#[test]
fn a_damaged_layer_is_pulled_again() {
    let base = Base::new();
    let cache = CacheDir::new(Who::Root);
    base.run_and_list_pulls(Who::Root, &[&cache.flag(), "--cache-unpacked=false"]);
    let layer = cache.blob(&base.image.layers[1].digest);
    let mut bytes = fs::read(&layer).expect("read a layer");
    bytes[20] ^= 1;
    fs::write(&layer, bytes).expect("damage a layer");
    let pulls = base.run_and_list_pulls(Who::Root, &[&cache.flag(), "--cache-unpacked=false"]);
    assert!(!pulls.is_empty());
    assert!(
        base.run_and_list_pulls(Who::Root, &[&cache.flag(), "--cache-unpacked=false"])
            .is_empty()
    );
    cache.assert_whole();
}

#[test]
fn without_the_flags_nothing_is_kept_and_an_expired_image_is_asked_for_again() {
    let base = Base::new();
    let cache = CacheDir::new(Who::Root);
    assert_eq!(base.run_and_list_pulls(Who::Root, &[]).len(), 2);
    assert!(names(&cache.path()).is_empty());
    let flags = [&cache.flag(), "--cache-unpacked=false", "--cache-ttl=1h"];
    let name = cache
        .path()
        .join("images")
        .join(hex_of(&base.image.digest()));
    let documents = |before: usize| {
        let requests = base.registry.requests();
        let requests = requests[before..].iter();
        requests
            .filter(|request| request.starts_with("GET /v2/base/manifests/"))
            .count()
    };
    let build = || {
        let before = base.registry.requests().len();
        let pulls = base.run_and_list_pulls(Who::Root, &flags).len();
        (pulls, documents(before))
    };
    assert_eq!(build(), (2, 1));
    assert_eq!(build(), (0, 0));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
    let file = fs::File::options()
        .write(true)
        .open(name)
        .expect("open a name");
    file.set_modified(old).expect("set a time");
    // Its layers are the same bytes as ever: they need not be pulled.
    assert_eq!(build(), (0, 1));
    assert_eq!(build(), (0, 0));
}

#[test]
fn what_kanikos_warmer_wrote_is_used() {
    let base = Base::new();
    let digest = base.image.digest();
    let as_layout = CacheDir::new(Who::Root);
    let layout = as_layout.path().join("layout");
    Tool::new("skopeo")
        .args(["copy", "--quiet", "--preserve-digests"])
        .arg(format!("dir:{}", base.image.path().display()))
        .arg(format!("oci:{}:latest", layout.display()))
        .run();
    fs::rename(&layout, as_layout.path().join(&digest)).expect("name the layout");
    let as_archive = CacheDir::new(Who::Root);
    write_archive(&base.image, &as_archive.path());
    for cache in [as_layout, as_archive] {
        // Nothing of ours can be written there.
        fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o555)).expect("set a mode");
        for args in [vec![], vec!["--storage=tree"]] {
            let flag = cache.flag();
            let args: Vec<&str> = args.into_iter().chain([flag.as_str()]).collect();
            let pulls = base.run_and_list_pulls(Who::Root, &args);
            assert!(pulls.is_empty(), "{pulls:?}");
        }
    }
}

/// Writes an image as kaniko's older warmer does: an archive of `docker save`, and the manifest beside it.
fn write_archive(image: &Image, dir: &Path) {
    let path = dir.join(image.digest());
    let mut archive = tar::Builder::new(fs::File::create(&path).expect("make an archive"));
    let config = image.manifest["config"]["digest"]
        .as_str()
        .expect("a digest");
    let config_file = image.path().join(hex_of(config));
    archive
        .append_path_with_name(config_file, config)
        .expect("add the config");
    for layer in &image.layers {
        let name = format!("{}.tar.gz", hex_of(&layer.digest));
        archive
            .append_path_with_name(&layer.path, name)
            .expect("add a layer");
    }
    archive.finish().expect("finish the archive");
    let beside = format!("{}.json", path.display());
    fs::write(beside, &image.manifest_bytes).expect("write the manifest");
}

#[test]
fn a_digest_needs_no_registry() {
    let base = Base::new();
    let cache = CacheDir::new(Who::Root);
    let digest = base.image.digest();
    let gone = format!("127.0.0.1:{}", free_port());
    base.run_and_list_pulls(Who::Root, &[&cache.flag()]);
    // Somebody else's name for the same image: a digest says what is meant.
    let context = Context::new(format!(
        "FROM {gone}/base@{digest}\nRUN [\"/bin/sh\", \"-c\", \": > /new\"]\n"
    ));
    Executor::new(Who::Root)
        .context(&context)
        .args(["--no-push", &cache.flag()])
        .run()
        .assert_success();
}

/// The directory of the only unpacked tree that has `file`.
fn tree_with(cache: &CacheDir, file: &str) -> PathBuf {
    let trees = cache.path().join("trees");
    let found = names(&trees).into_iter().map(|name| trees.join(name));
    let mut found = found.filter(|tree| tree.join("root").join(file).exists());
    found.next().expect("an unpacked layer with the file")
}

#[test]
fn an_unpacked_base_is_used_again_and_not_after_somebody_has_touched_it() {
    let base = Base::new();
    for who in Who::BOTH {
        let cache = CacheDir::new(who);
        let build = |lines: &str| {
            let build = Executor::new(who)
                .context(&base.context(lines))
                .destination(&base.registry.reference("app:1"))
                .args(STEPS_ARE_NOT_CACHED)
                .arg(cache.flag())
                .run();
            build.assert_success();
            check_image(&base.registry, "app:1", &base.base);
            build.stderr().matches("is unpacked in the cache").count()
        };
        let run = "RUN [\"/bin/sh\", \"-c\", \"test ! -e /gone && test $(cat /hello) = hello && : > /new\"]";
        assert_eq!(build(run), 0, "{who:?}");
        assert_eq!(build(run), 2, "{who:?}");
        let delete =
            "RUN [\"/bin/sh\", \"-c\", \"busybox rm /hello && busybox mv /bin/sh /bin/moved\"]";
        assert_eq!(build(delete), 2, "{who:?}");
        // What a step did stays in the step's own layer.
        assert_eq!(build(run), 2, "{who:?}");
        let tree = tree_with(&cache, "hello");
        fs::write(tree.join("root/hello"), "HELLO").expect("tamper with a tree");
        let output = cache.upkeep(&["verify"]);
        let text = text_of(&output);
        assert!(
            text.contains(tree.to_str().expect("an ASCII path")),
            "{text}"
        );
        assert_eq!(build(run), 1, "{who:?}");
        assert_eq!(build(run), 2, "{who:?}");
        cache.assert_whole();
        fs::remove_file(tree_with(&cache, "hello").join("stamp")).expect("take a stamp away");
        assert_eq!(build(run), 1, "{who:?}");
        assert!(cache.upkeep_says(&["ls"]).contains("unpacked"));
        let pruned = cache.upkeep_says(&["prune", "--keep-size=0"]);
        assert!(names(&cache.path().join("trees")).is_empty(), "{pruned}");
    }
}

#[test]
fn an_ordinary_user_prunes_and_verifies_what_their_builds_left() {
    let registry = Registry::start();
    let layer = LayerTar::new()
        .shell()
        .file_with("secret/of-33", "x", 0o600, 33, &[]);
    CraftedImage::new(Family::Oci)
        .layer(layer, Encoding::Gzip)
        .push_to(&registry, "base:1");
    let cache = CacheDir::new(Who::User);
    let context = Context::new(format!(
        "FROM {}\nRUN [\"/bin/sh\", \"-c\", \": > /new\"]\n",
        registry.reference("base:1")
    ));
    let user = |args: &[&str]| {
        let executor = Executor::new(Who::User);
        executor.args(args).run_as_given()
    };
    Executor::new(Who::User)
        .context(&context)
        .args(["--no-push", &cache.flag()])
        .run()
        .assert_success();
    assert_eq!(names(&cache.path().join("trees")).len(), 1);
    let verified = user(&["cache", "verify", &cache.flag()]);
    assert_eq!(verified.code(), 0, "{}", verified.report());
    let pruned = user(&["cache", "prune", "--keep-size=0", &cache.flag()]);
    assert_eq!(pruned.code(), 0, "{}", pruned.report());
    assert!(names(&cache.path().join("trees")).is_empty());
}

#[test]
fn builds_share_unpacked_layers_while_others_make_and_prune_them() {
    let base = Base::new();
    let cache = CacheDir::new(Who::Root);
    let build = || {
        let context = base.context(
            "RUN [\"/bin/sh\", \"-c\", \"test $(cat /hello) = hello && echo 1 > /hello\"]",
        );
        Executor::new(Who::Root)
            .context(&context)
            .args(STEPS_ARE_NOT_CACHED)
            .args(["--no-push", &cache.flag()])
            .run()
            .assert_success();
    };
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..3 {
                    build();
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..5 {
                cache.upkeep_says(&["prune", "--keep-size=0"]);
                std::thread::sleep(std::time::Duration::from_millis(200));
            }
        });
    });
    cache.assert_whole();
    build();
    build();
    let left = names(&cache.path().join("trees"));
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_directory_in_the_context_is_no_part_of_it() {
    let site = Site::busybox();
    let build = |lines: &str| {
        let context = site.context(lines).file("app/file", "x");
        let cache = context.path().join("app/.cache");
        let executor = site.executor(Who::Root, &context);
        executor.arg("--cache-dir").arg(cache)
    };
    let image = site.build_with(build("RUN true\nCOPY . /copied"));
    let tree = image.tree();
    assert!(tree.has("copied/app/file") && !tree.has("copied/app/.cache"));
    build("COPY app/.cache /copied")
        .run()
        .assert_error(1, &["app/.cache", "the builder's own"]);
}
