//! Cache mounts from one build to the next, and mounts in the keys of their steps.

use super::log::{assert_all_cached, steps};
use crate::support::cache_dir::CacheDir;
use crate::support::executor::Build;
use crate::support::{
    Context, CraftedImage, Encoding, Executor, Family, Image, Kind, LayerTar, Site, Who,
};

/// Each build adds a line to the cache mount, and shows how many there are.
fn counting(site: &Site, change: &str) -> Context {
    site.context(&format!(
        "RUN --mount=type=cache,target=/c echo {change} >> /c/log && wc -l < /c/log > /lines"
    ))
}

fn build(site: &Site, who: Who, context: &Context, flags: &[&str]) -> Build {
    let build = site.executor(who, context).args(flags).run();
    build.assert_success();
    build
}

/// How many builds the cache mount of the last one had seen, its own included.
fn seen(site: &Site) -> String {
    let image = Image::pull(&site.registry, crate::support::site::APP);
    let tree = image.tree();
    assert!(!tree.has("c"), "a mount point is in the image");
    format!("{:?}", tree.get("lines").kind)
}

#[test]
fn a_cache_mount_is_what_the_last_build_left() {
    let site = Site::busybox();
    for (who, flags) in [
        (Who::Root, vec![]),
        (Who::Root, vec!["--storage=tree"]),
        (Who::Root, vec!["--isolation=chroot"]),
        (Who::User, vec![]),
    ] {
        let cache = CacheDir::new(who);
        let flag = cache.flag();
        let flags: Vec<&str> = flags.into_iter().chain([flag.as_str()]).collect();
        for expected in 1..=3 {
            build(&site, who, &counting(&site, &expected.to_string()), &flags);
            let seen = seen(&site);
            assert!(seen.contains(&expected.to_string()), "{flags:?}: {seen}");
        }
        cache.assert_whole();
    }
}

#[test]
fn a_cache_mount_travels_through_a_repository() {
    let site = Site::busybox();
    let flags = ["--cache", "--cache-mounts=registry"];
    build(&site, Who::Root, &counting(&site, "a"), &flags);
    build(&site, Who::User, &counting(&site, "b"), &flags);
    assert!(seen(&site).contains('2'), "{}", seen(&site));
    let tags = site.registry.tags("app/cache");
    assert_eq!(
        tags.iter().filter(|tag| tag.starts_with("mount-")).count(),
        1
    );
}

#[test]
fn a_build_that_fails_leaves_a_cache_mount_as_it_was() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let flag = cache.flag();
    build(&site, Who::Root, &counting(&site, "a"), &[&flag]);
    let failing = site.context("RUN --mount=type=cache,target=/c echo b >> /c/log; false");
    let executor = site.executor(Who::Root, &failing).arg(&flag);
    executor.run().assert_error(1, &["exit code 1"]);
    build(&site, Who::Root, &counting(&site, "c"), &[&flag]);
    assert!(seen(&site).contains('2'), "{}", seen(&site));
    build(
        &site,
        Who::Root,
        &counting(&site, "d"),
        &[&flag, "--cache-mounts=off"],
    );
    assert!(seen(&site).contains('1'), "{}", seen(&site));
    let small = ["--cache-mounts-max-size=1", flag.as_str()];
    let too_large = build(&site, Who::Root, &counting(&site, "e"), &small);
    assert!(
        too_large.stderr().contains("larger than 1 bytes"),
        "{}",
        too_large.report()
    );
}

#[test]
fn mounts_count_by_what_they_show_and_secrets_do_not() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let build = |file: &str, target: &str, secret: &str| {
        let lines = format!(
            "RUN --mount=type=bind,source=file,target={target} --mount=type=secret,id=s \
             --mount=type=cache,target=/c cat {target} > /seen && echo >> /c/log"
        );
        let context = site
            .context(&lines)
            .file("file", file)
            .file("other", secret);
        let executor = Executor::new(Who::Root).context(&context);
        let executor = executor.destination(&site.app()).arg(cache.flag());
        let build = executor.env("s", secret).args(["--secret", "id=s"]).run();
        build.assert_success();
        build
    };
    let is_executed = |build: &Build| steps(build).iter().all(|step| !step.is_hit);
    assert!(is_executed(&build("a", "/f", "1")));
    assert_all_cached(&build("a", "/f", "2"));
    assert!(is_executed(&build("b", "/f", "2")));
    assert!(is_executed(&build("b", "/g", "2")));
    assert_all_cached(&build("a", "/f", "3"));
}

#[test]
fn a_cache_that_starts_with_an_image_starts_again_with_another_one() {
    let site = Site::busybox();
    let cache = CacheDir::new(Who::Root);
    let source = site.registry.reference("source:1");
    let build = |contents: &str, change: &str| {
        let layer = LayerTar::new().file("f", contents);
        CraftedImage::new(Family::Oci)
            .layer(layer, Encoding::Gzip)
            .push_to(&site.registry, "source:1");
        let context = site.context(&format!(
            "RUN --mount=type=cache,target=/c,from={source} echo {change} >> /c/f && cat /c/f > /lines"
        ));
        super::mounts::build(&site, Who::Root, &context, &[&cache.flag()]);
        seen(&site)
    };
    for (contents, change, expected) in [
        ("one\n", "a", "one\na\n"),
        ("one\n", "b", "one\na\nb\n"),
        ("two\n", "c", "two\nc\n"),
    ] {
        assert_eq!(
            build(contents, change),
            format!("{:?}", Kind::file(expected))
        );
    }
}
