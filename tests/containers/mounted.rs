//! What Kubernetes and GitLab mount into a job's container, where the image has something else at those places.

use super::call::Call;
use super::docker;
use crate::support::{Kind, Site, TestDir, check_image};

/// A link at `/var/run`, as most distributions have it, and files in the places of the runner's directories.
const LINES: &str = "RUN mkdir -p /run && ln -s /run /var/run && echo 1 >/run/pid
RUN cat /var/run/pid && echo 2 >/var/run/other && cat /run/other /run/secrets/kubernetes.io/serviceaccount/token
COPY greeting /cache
COPY greeting /builds
COPY greeting /workspace
COPY greeting /kaniko
RUN test -d /cache && test -d /builds && touch /cache/lost /new && cat /builds/out/seen
";

#[test]
fn mounts_stay_in_their_places_and_are_in_no_layer() {
    let site = Site::busybox();
    let context = site.context(LINES).file("greeting", "hello\n");
    let (secret, cache, builds) = (TestDir::new(), TestDir::new(), TestDir::new());
    std::fs::write(secret.join("token"), "a token\n").expect("write the token");
    std::fs::write(builds.join("seen"), "seen\n").expect("write a file of the job");
    let call = Call::executor(["--isolation=inplace", "--destination", &site.app()])
        .read_only_volume(context.path(), "/workspace")
        .read_only_volume(
            secret.path(),
            "/var/run/secrets/kubernetes.io/serviceaccount",
        )
        .volume(cache.path(), "/cache")
        .volume(builds.path(), "/builds/out");
    let ended = docker::run(&[], &call);
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    assert!(
        cache.join("lost").exists(),
        "the mount was not in its place"
    );
    let tree = check_image(&site.registry, crate::support::site::APP, &site.base).tree();
    let target = "/run".to_owned();
    assert_eq!(tree.get("var/run").kind, Kind::Symlink { target });
    assert_eq!(tree.get("run/other").kind, Kind::file("2\n"));
    for name in ["cache", "builds", "workspace", "kaniko"] {
        assert_eq!(tree.get(name).kind, Kind::file("hello\n"), "{name}");
    }
    assert!(tree.has("new") && !tree.has("run/secrets"));
}
