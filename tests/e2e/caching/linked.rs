//! What a build with linked copies asks of its registry.

use super::log::assert_all_cached;
use super::project::Project;
use crate::support::proxy::Traffic;
use crate::support::{
    BaseImage, Context, CraftedImage, Encoding, Family, LayerTar, Proxy, Registry,
};

fn push_base(registry: &Registry, text: &str) -> BaseImage {
    let files = LayerTar::new().file("version", text).symlink("app", "srv");
    CraftedImage::new(Family::Oci)
        .layer(files, Encoding::Gzip)
        .push_to(registry, "base:1");
    BaseImage::in_registry(registry, "base:1")
}

/// The layers of the base that were read.
fn layers_read(traffic: &Traffic, registry: &Registry) -> Vec<String> {
    let manifest = registry.manifest("base", "1");
    let layer = manifest["layers"][0]["digest"].as_str().expect("a digest");
    let read = traffic.requests.iter();
    let read = read.filter(|request| request.starts_with("GET ") && request.ends_with(layer));
    read.cloned().collect()
}

#[test]
fn a_linked_copy_needs_no_layer_of_its_base_and_stays_when_that_changes() {
    let registry = Registry::start();
    push_base(&registry, "one");
    let proxy = Proxy::before(&registry);
    let base = proxy.reference("base:1");
    let context = Context::new(format!(
        "FROM {base}\nCOPY --link --chown=5 src /app/\nADD --link src/a /app/again\nCMD [\"x\"]\n"
    ))
    .file("src/a", "a");
    let project = Project::new(&registry, "app", context);
    let build = |flags: &[&str]| {
        let executor = project.executor_to(&proxy.reference("app:1"));
        let built = project.run(executor.args(flags));
        (built, proxy.take())
    };
    let flags = ["--cache", "--cache-copy-layers"];
    let (_, traffic) = build(&flags);
    assert_eq!(
        layers_read(&traffic, &registry),
        Vec::<String>::new(),
        "executed"
    );

    let other = push_base(&registry, "two");
    let (rebased, traffic) = build(&flags);
    assert_all_cached(&rebased.build);
    assert_eq!(
        layers_read(&traffic, &registry),
        Vec::<String>::new(),
        "found"
    );
    project.assert_same_as_uncached(&rebased, &[], &other);
    let tree = project.pull(&rebased.digest).tree();
    assert_eq!(tree.names_in("app"), ["a", "again"], "the link is replaced");
    assert_eq!(tree.get("version").kind, crate::support::Kind::file("two"));
}
