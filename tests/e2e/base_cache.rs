//! Base images in the cache directory: written through, found again, in our form and in kaniko's two.

use crate::support::cache_dir::{CacheDir, layer_requests, names};
use crate::support::image::hex_of;
use crate::support::registry::free_port;
use crate::support::tool::Tool;
use crate::support::{
    BaseImage, Context, CraftedImage, Encoding, Executor, Family, Image, LayerTar, Registry, Site,
    Who, check_image,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

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
    base.run_and_list_pulls(Who::Root, &[&cache.flag()]);
    let layer = cache.blob(&base.image.layers[1].digest);
    let mut bytes = fs::read(&layer).expect("read a layer");
    bytes[20] ^= 1;
    fs::write(&layer, bytes).expect("damage a layer");
    let pulls = base.run_and_list_pulls(Who::Root, &[&cache.flag()]);
    assert!(!pulls.is_empty());
    assert!(
        base.run_and_list_pulls(Who::Root, &[&cache.flag()])
            .is_empty()
    );
    cache.assert_whole();
}

#[test]
fn without_the_flags_nothing_is_kept_and_an_expired_image_is_pulled_again() {
    let base = Base::new();
    let cache = CacheDir::new(Who::Root);
    assert_eq!(base.run_and_list_pulls(Who::Root, &[]).len(), 2);
    assert!(names(&cache.path()).is_empty());
    let flag = cache.flag();
    base.run_and_list_pulls(Who::Root, &[&flag]);
    let pulls = base.run_and_list_pulls(Who::Root, &[&flag, "--cache-ttl=1ns"]);
    assert_eq!(pulls.len(), 2);
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
