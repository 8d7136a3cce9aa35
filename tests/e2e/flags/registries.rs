//! Which registry is asked, when, and what of its certificate is believed.

use crate::support::cache_dir::{CacheDir, text_of};
use crate::support::{Base, Context, Executor, Image, Registry, Site, Who, check_image};

/// A host of this machine where nothing listens.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn whether_a_push_is_permitted_is_asked_before_the_build() {
    let site = Site::busybox();
    let locked = Registry::start_with_password();
    let context = site.context("RUN exit 42");
    let build = |flags: &[&str]| {
        let executor = Executor::new(Who::User).context(&context).args(flags);
        executor.destination(&locked.reference("app:1")).run()
    };
    build(&[]).assert_error(1, &[&locked.host(), "401"]);
    build(&["--skip-push-permission-check"]).assert_error(42, &["exit code 42"]);
}

#[test]
fn certificates_are_not_looked_at_where_the_flags_say_so() {
    let registry = Registry::start_with_tls();
    let open = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let context = Context::new(format!("FROM {base}\nLABEL a=b\n"));
    let host = registry.host();
    let build = |destination: &str, flags: &[&str]| {
        let executor = Executor::new(Who::User).context(&context).args(flags);
        executor.destination(destination).run()
    };
    let (there, elsewhere) = (registry.reference("app:1"), open.reference("app:1"));
    build(&elsewhere, &[]).assert_error(1, &[&host]);
    build(&elsewhere, &["--skip-tls-verify-pull"]).assert_success();
    check_image(&open, "app:1", &base);
    build(&there, &["--skip-tls-verify-pull"]).assert_error(1, &[&host]);
    let other = format!("--skip-tls-verify-registry={NOBODY}");
    build(&there, &[&other]).assert_error(1, &[&host]);
    build(&there, &[&other, "--skip-tls-verify-registry", &host]).assert_success();
    check_image(&registry, "app:1", &base);
}

#[test]
fn images_come_from_the_registry_that_stands_in() {
    let site = Site::busybox();
    // It has no image at all.
    let empty = Registry::start();
    site.registry.copy("base/busybox:1", "library/base:1");
    let (host, nothing) = (site.registry.host(), empty.host());
    let build = |from: &str, flags: &[&str], variables: &[(&str, &str)]| {
        let context = Context::new(format!("FROM {from}\nLABEL a=b\n"));
        let executor = site.executor(Who::User, &context).args(flags);
        let variables = variables.iter();
        let build = variables
            .fold(executor, |executor, (name, value)| {
                executor.env(name, value)
            })
            .run();
        build.assert_success();
        check_image(&site.registry, "app:1", &site.base);
    };
    // Docker Hub's images, which nothing on the way to Docker Hub could give.
    let alone = "--skip-default-registry-fallback";
    build("base:1", &[alone, "--registry-mirror", &host], &[]);
    build("base:1", &[alone], &[("KANIKO_REGISTRY_MIRROR", &host)]);
    let map = format!("index.docker.io={nothing};index.docker.io={host}");
    build("base:1", &[alone, "--registry-map", &map], &[]);
    build("base:1", &[alone], &[("KANIKO_REGISTRY_MAP", &map)]);
    // Below a path of it.
    let map = format!("--registry-map={NOBODY}={host}/library");
    build(&format!("{NOBODY}/base:1"), &[&map], &[]);
    // Without the flag, the registry itself is asked where its mirror fails.
    let map = format!("--registry-map={host}={nothing}");
    build(&site.base.reference, &[&map], &[]);
    let context = site.context("LABEL a=b");
    let refused = site.executor(Who::User, &context).args([alone, &map]).run();
    refused.assert_error(1, &[&nothing, "404"]);
}

/// Runs the warmer for one image, and says whether it was pulled.
fn warms(image: &Image, reference: &str, flags: &[&str]) -> bool {
    let cache = CacheDir::new(Who::Root);
    let flags = [flags, &["--image", reference]].concat();
    let output = cache.warmer(&flags);
    let text = text_of(&output);
    let is_pulled = text.contains(&format!("pulled {}", image.digest()));
    assert_eq!(output.status.success(), is_pulled, "{text}");
    is_pulled
}

#[test]
fn the_warmer_trusts_whom_the_flags_name() {
    let (registry, stranger) = (Registry::start_with_tls(), Registry::start_with_tls());
    let base = Base::Busybox.push_to(&registry);
    let image = Image::pull(&registry, "base/busybox:1");
    let host = registry.host();
    let warms = |flags: &[&str]| warms(&image, &base.reference, flags);
    let certificate = |of: &Registry| format!("{host}={}", of.ca_file().display());
    assert!(!warms(&[]));
    assert!(warms(&["--skip-tls-verify-pull"]));
    assert!(!warms(&["--skip-tls-verify-pull=false"]));
    assert!(warms(&["--skip-tls-verify-registry", &host]));
    assert!(!warms(&["--skip-tls-verify-registry", NOBODY]));
    assert!(warms(&["--registry-certificate", &certificate(&registry)]));
    assert!(!warms(&["--registry-certificate", &certificate(&stranger)]));
}

#[test]
fn the_warmer_pulls_from_the_registry_that_stands_in() {
    let registry = Registry::start();
    Base::Busybox.push_to(&registry);
    registry.copy("base/busybox:1", "library/base:1");
    let image = Image::pull(&registry, "library/base:1");
    let host = registry.host();
    let flags = [
        "--skip-default-registry-fallback",
        "--registry-mirror",
        &host,
    ];
    assert!(warms(&image, "base:1", &flags));
}
