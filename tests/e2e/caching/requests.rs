//! What a build asks of its registry when the cache has everything.

use super::log::assert_all_cached;
use super::project::Project;
use crate::support::proxy::Traffic;
use crate::support::{Base, Context, Proxy, Registry};

/// Twenty steps in three stages, of which the last takes from the others.
fn context(base: &str) -> Context {
    let runs = |name: &str| -> String {
        (0..5)
            .map(|step| format!("RUN echo {step} > /{name}{step}\n"))
            .collect()
    };
    let (one, two, last) = (runs("one"), runs("two"), runs("last"));
    Context::new(format!(
        "FROM {base} AS one\nCOPY src /src\n{one}\
         FROM {base} AS two\nCOPY src /src\n{two}\
         FROM {base}\nWORKDIR /app\n{last}COPY --from=one /one4 /\nCOPY --from=two /two4 /\nCMD [\"sh\"]\n"
    ))
    .file("src/a", "a")
}

const FLAGS: [&str; 2] = ["--cache", "--cache-copy-layers"];

#[test]
fn a_build_of_cached_steps_moves_no_layer_and_asks_little() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    let proxy = Proxy::before(&registry);
    let project = Project::new(
        &registry,
        "app",
        context(&proxy.reference("base/busybox:1")),
    );
    let build = |name: &str, flags: &[&str]| {
        let executor = project.executor_to(&proxy.reference(name));
        let built = project.run(executor.args(FLAGS).args(flags));
        (built, proxy.take())
    };
    build("app:1", &[]);
    let base_config = registry.manifest("base/busybox", "1")["config"]["digest"].clone();

    let (again, traffic) = build("app:1", &[]);
    assert_all_cached(&again.build);
    assert_no_layer_moves(&traffic, base_config.as_str().expect("a digest"));
    assert_eq!(uploads(&traffic), Vec::<&str>::new(), "{traffic:#?}");
    // A base, twenty steps, a push: a lookup of a step is a manifest, and of one that is found its layer's presence.
    assert!(traffic.requests.len() <= 70, "{traffic:#?}");
    assert!(traffic.bytes <= 100 * 1024, "{traffic:#?}");

    // In a repository that has nothing yet, layers are mounted; the config alone is sent.
    let elsewhere = format!("--cache-repo={}", proxy.reference("app/cache"));
    let (other, traffic) = build("other:1", &[&elsewhere]);
    assert_all_cached(&other.build);
    assert_eq!(other.digest, again.digest);
    assert_no_layer_moves(&traffic, base_config.as_str().expect("a digest"));
    let config = registry.manifest("other", "1")["config"]["digest"].clone();
    let config = config.as_str().expect("a digest").replace(':', "%3A");
    let uploads = uploads(&traffic);
    assert!(
        !uploads.is_empty() && uploads.iter().all(|upload| upload.contains(&config)),
        "{traffic:#?}"
    );
    assert!(traffic.bytes <= 100 * 1024, "{traffic:#?}");
    project.assert_same_as_uncached(&again, &[], &base);
}

/// Nothing is read but manifests and the config of the base.
fn assert_no_layer_moves(traffic: &Traffic, base_config: &str) {
    for request in &traffic.requests {
        let is_of_blob = request.starts_with("GET ") && request.contains("/blobs/");
        assert!(
            !is_of_blob || request.ends_with(base_config),
            "{request}\n{traffic:#?}"
        );
    }
}

/// The requests that carry bytes of blobs to the registry.
fn uploads(traffic: &Traffic) -> Vec<&str> {
    let requests = traffic.requests.iter().map(String::as_str);
    requests
        .filter(|request| request.contains("/blobs/uploads/"))
        .filter(|request| request.starts_with("PATCH ") || request.starts_with("PUT "))
        .collect()
}
