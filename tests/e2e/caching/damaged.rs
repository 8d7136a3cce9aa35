//! Entries of a cache that are not what they should be: a warning, and the step is executed.

use super::log::{Step, steps, warnings};
use super::project::Project;
use crate::support::image::text;
use crate::support::{Base, Context, Image, Kind, Registry};
use serde_json::{Value, json};
use std::fs;

/// Where the entries are.
const REPOSITORY: &str = "steps";

/// Builds, damages the entries of the first step, and builds again: the first step must be executed.
///
/// What it makes is what it made, so the second is answered.
fn rebuild(damage: impl Fn(&Registry, &str, &str)) {
    // The damaged blobs are in a server of their own: one that has half of a blob takes no other half.
    let [registry, cache] = [Registry::start(), Registry::start()];
    let base = Base::Busybox.push_to(&registry);
    let lines = "RUN echo one > /one\nRUN echo two > /two\n";
    let project = Project::new(
        &registry,
        "app",
        Context::new(format!("FROM {base}\n{lines}")),
    );
    let place = format!("--cache-repo={}", cache.reference(REPOSITORY));
    let flags = ["--cache", &place];
    project.build(&flags);
    let tags = tags_of(&cache, REPOSITORY, "echo one");
    assert!(!tags.is_empty(), "no entry of the step");
    for tag in &tags {
        damage(&cache, REPOSITORY, tag);
    }
    let again = project.build(&flags);
    let found: Vec<(String, bool)> = steps(&again.build)
        .into_iter()
        .map(|Step { text, is_hit }| (text, is_hit))
        .collect();
    let expected = [
        ("RUN echo one > /one", false),
        ("RUN echo two > /two", true),
    ];
    let expected = expected.map(|(text, is_hit)| (text.to_owned(), is_hit));
    assert_eq!(found, expected, "{}", again.build.report());
    assert!(
        !warnings(&again.build).is_empty(),
        "{}",
        again.build.report()
    );
    project.assert_same_as_uncached(&again, &[], &base);
}

/// The tags of the entries that were made by a command.
fn tags_of(registry: &Registry, repository: &str, command: &str) -> Vec<String> {
    let tags = registry.tags(repository).into_iter();
    tags.filter(|tag| made_by(registry, repository, tag).contains(command))
        .collect()
}

/// The instruction that made an entry.
fn made_by(registry: &Registry, repository: &str, tag: &str) -> String {
    let manifest = registry.manifest(repository, tag);
    let config = registry.blob_file(text(&manifest["config"]["digest"]));
    let config: Value = serde_json::from_slice(&fs::read(config).expect("read a config"))
        .expect("a config is JSON");
    text(&config["history"][0]["created_by"]).to_owned()
}

fn layer_file(registry: &Registry, repository: &str, tag: &str) -> std::path::PathBuf {
    let manifest = registry.manifest(repository, tag);
    registry.blob_file(text(&manifest["layers"][0]["digest"]))
}

fn change_manifest(registry: &Registry, repository: &str, tag: &str, change: impl Fn(&mut Value)) {
    let mut manifest = registry.manifest(repository, tag);
    change(&mut manifest);
    registry.put_manifest(repository, tag, &manifest);
}

#[test]
fn an_entry_whose_layer_is_gone_is_not_used() {
    rebuild(|registry, repository, tag| {
        let file = layer_file(registry, repository, tag);
        // All tags of a step have one layer.
        let _ = fs::remove_dir_all(file.parent().expect("a directory"));
    });
}

#[test]
fn an_entry_whose_layer_was_cut_short_is_not_used() {
    rebuild(|registry, repository, tag| {
        let file = layer_file(registry, repository, tag);
        let bytes = fs::read(&file).expect("read a layer");
        fs::write(&file, &bytes[..bytes.len() / 2]).expect("cut a layer short");
    });
}

#[test]
fn an_entry_of_two_layers_is_not_used() {
    rebuild(|registry, repository, tag| {
        change_manifest(registry, repository, tag, |manifest| {
            let layers = manifest["layers"].as_array_mut().expect("layers");
            layers.push(layers[0].clone());
        });
    });
}

#[test]
fn an_entry_without_a_layer_is_not_used() {
    rebuild(|registry, repository, tag| {
        change_manifest(registry, repository, tag, |manifest| {
            manifest["layers"] = json!([]);
        });
    });
}

#[test]
fn an_entry_whose_layer_is_no_layer_is_not_used() {
    rebuild(|registry, repository, tag| {
        change_manifest(registry, repository, tag, |manifest| {
            manifest["layers"][0]["mediaType"] = json!("application/octet-stream");
        });
    });
}

#[test]
fn an_entry_that_says_nothing_of_its_keys_is_not_used() {
    rebuild(|registry, repository, tag| {
        change_manifest(registry, repository, tag, |manifest| {
            manifest["annotations"] = json!({});
        });
    });
}

#[test]
fn an_entry_of_another_step_is_not_used() {
    rebuild(|registry, repository, tag| {
        let other = tags_of(registry, repository, "echo two");
        let manifest = registry.manifest(repository, &other[0]);
        registry.put_manifest(repository, tag, &manifest);
    });
}

/// A layer of the right length and other bytes is noticed when it is read, which is when something is built on it.
#[test]
fn a_layer_of_other_bytes_ends_in_no_image() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let put = |lines: &str| Context::new(format!("FROM {base}\nRUN echo one > /one\n{lines}"));
    let project = Project::new(&registry, "app", put(""));
    let repository = project.cache_repository();
    project.build(&["--cache"]);
    for tag in tags_of(&registry, &repository, "echo one") {
        let file = layer_file(&registry, &repository, &tag);
        let bytes = fs::read(&file).expect("read a layer");
        fs::write(&file, vec![b'x'; bytes.len()]).expect("spoil a layer");
    }
    let more = Project::new(&registry, "more", put("RUN cat /one > /two\n"));
    let cache = format!("--cache-repo={}", registry.reference(&repository));
    let build = more.executor().arg("--cache").arg(cache).run();
    if build.code() == 0 {
        let image = Image::pull(&registry, "more:1");
        assert_eq!(image.tree().get("two").kind, Kind::file("one\n"));
    } else {
        build.assert_error(1, &["sha256:"]);
        assert_eq!(registry.tags("more"), Vec::<String>::new());
    }
}
