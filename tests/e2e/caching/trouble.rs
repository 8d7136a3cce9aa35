//! A cache repository that answers with errors, or stops in the middle: the build goes on without it.

use super::log::{assert_none_cached, warnings};
use super::project::Project;
use crate::support::{Base, BaseImage, Context, Proxy, Registry, Verdict};

/// What a cache repository does with a request.
type Judge = fn(&str) -> Verdict;

/// What may be wrong with a cache repository.
const TROUBLES: [(&str, Judge); 7] = [
    ("it knows nothing of the repository", |_| {
        Verdict::Refuse(404)
    }),
    ("it asks who it is", |_| Verdict::Refuse(401)),
    ("it lets nobody in", |_| Verdict::Refuse(403)),
    ("it has had too many requests", |_| Verdict::Refuse(429)),
    ("it is broken", |_| Verdict::Refuse(500)),
    ("it takes half of a layer", |request| {
        let is_body = request.starts_with("PATCH ") || request.starts_with("PUT ");
        match is_body && request.contains("/blobs/uploads/") {
            true => Verdict::CutAfter(20),
            false => Verdict::Pass,
        }
    }),
    ("it takes layers but no entries", |request| {
        match request.starts_with("PUT ") && request.contains("/manifests/") {
            true => Verdict::Refuse(500),
            false => Verdict::Pass,
        }
    }),
];

#[test]
fn a_cache_repository_that_fails_is_done_without() {
    let registry = Registry::start();
    let base = Base::Busybox.push_to(&registry);
    // They wait, most of the time: for the next attempt.
    let failed: Vec<&str> = std::thread::scope(|scope| {
        let checks: Vec<_> = TROUBLES
            .iter()
            .enumerate()
            .map(|(number, (what, judge))| {
                let (registry, base) = (&registry, &base);
                let check = move || build_beside(registry, base, number, *judge);
                (*what, scope.spawn(check))
            })
            .collect();
        let joined = checks.into_iter().map(|(what, check)| (what, check.join()));
        joined
            .filter(|(_, end)| end.is_err())
            .map(|(what, _)| what)
            .collect()
    });
    assert_eq!(failed, Vec::<&str>::new());
}

/// Builds twice, beside a cache repository of which `judge` decides: both builds must succeed, warn and push the same.
fn build_beside(registry: &Registry, base: &BaseImage, number: usize, judge: Judge) {
    let proxy = Proxy::with(registry, judge);
    let context = Context::new(format!(
        "FROM {base}\nRUN echo one > /one\nRUN echo two > /two\n"
    ));
    let project = Project::new(registry, &format!("app{number}"), context);
    let cache = format!(
        "--cache-repo={}",
        proxy.reference(&format!("steps{number}"))
    );
    let first = project.build(&["--cache", &cache]);
    assert_none_cached(&first.build);
    assert!(
        !warnings(&first.build).is_empty(),
        "{}",
        first.build.report()
    );
    assert!(!proxy.take().requests.is_empty(), "the cache was not asked");
    let again = project.build(&["--cache", &cache]);
    assert_none_cached(&again.build);
    project.assert_same_as_uncached(&again, &[], base);
}
