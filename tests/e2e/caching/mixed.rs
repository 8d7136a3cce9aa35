//! Two builds whose steps make something else each time, in one repository: an image is of one of them, never of both.

use super::log::steps;
use super::project::Project;
use crate::support::{Base, Context, Registry};
use serde_json::Value;
use std::collections::BTreeMap;

/// Where the entries of both builds are.
const MIXED: &str = "mixed";

/// Entries by their tags.
type Entries = BTreeMap<String, Value>;

#[test]
fn whichever_entries_of_two_builds_are_found_all_of_an_image_is_of_one() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let context = || {
        Context::new(format!(
            "FROM {base} AS build\nRUN head -c 16 /dev/urandom | od -t x1 > /a\nRUN cp /a /b\n\
             FROM {base}\nCOPY --from=build /b /b\nRUN true > /x\nCOPY --from=build /a /a\n"
        ))
    };
    let [one, other] = ["one", "other"].map(|name| {
        let project = Project::new(&registry, name, context());
        project.build(&["--cache", "--cache-copy-layers"]);
        entries(&registry, &project.cache_repository())
    });
    let shared: Vec<&String> = one.keys().filter(|tag| other.contains_key(*tag)).collect();
    assert_eq!(shared.len(), 5, "each step has a key by definition");
    let project = Project::new(&registry, "app", context());
    let cache = format!("--cache-repo={}", registry.reference(MIXED));
    let mut hits = 0;
    for choice in (0..1_u32 << shared.len()).step_by(3) {
        for (at, tag) in shared.iter().enumerate() {
            let from = if choice >> at & 1 == 0 { &one } else { &other };
            registry.put_manifest(MIXED, tag, &from[*tag]);
        }
        let built = project.build(&["--cache", "--cache-copy-layers", &cache, "--no-push-cache"]);
        let tree = project.pull(&built.digest).tree();
        let (a, b) = (&tree.get("a").kind, &tree.get("b").kind);
        assert_eq!(a, b, "choice {choice:b}\n{}", built.build.report());
        hits += steps(&built.build)
            .iter()
            .filter(|step| step.is_hit)
            .count();
    }
    // Otherwise the steps were not looked for at all.
    assert!(hits >= 8, "{hits} hits");
}

/// The entries of a repository, of which the mixed one gets the tags and the blobs.
fn entries(registry: &Registry, repository: &str) -> Entries {
    let mut entries = Entries::new();
    for tag in registry.tags(repository) {
        registry.copy(&format!("{repository}:{tag}"), &format!("{MIXED}:{tag}"));
        let manifest = registry.manifest(repository, &tag);
        entries.insert(tag, manifest);
    }
    entries
}
