//! `gitlab/build.gitlab-ci.yml`, as the Docker executor of GitLab's runner does it.

use super::Project;
use crate::call::Call;
use crate::docker;
use crate::support::process::Ended;
use crate::support::{Base, Registry, TestDir, check_image, registry};
use serde_json::Value;
use std::fs;

const TEMPLATE: &str = "gitlab/build.gitlab-ci.yml";
const CHECKOUT: &str = "/builds/team/app";

/// The runner looks for a shell in this order, in our image with our PATH, and hands it the job's script on its standard
/// input; afterwards `after_script` gets a shell of its own.
const RUNNER: &str = r#"
for shell in /usr/local/bin/bash /usr/bin/bash /bin/bash /usr/local/bin/sh /usr/bin/sh /bin/sh /busybox/sh; do
  if [ -x "$shell" ]; then break; fi
done
code=0
cd "$CI_PROJECT_DIR"
"$shell" </scripts/script || code=$?
"$shell" </scripts/after_script || true
exit $code
"#;

const DOCKERFILE: &str = "ARG PROXY=BASE\n\
    FROM $PROXY/busybox:1 AS app\n\
    COPY greeting /\n\
    RUN echo app >/name && ls -d /builds\n\
    FROM $PROXY/busybox:1 AS worker\n\
    COPY greeting /\n\
    RUN echo worker >/name\n";

/// A job of the template with what it extends.
pub(super) fn job(template: &Value, name: &str) -> Value {
    let mut job = template[name].clone();
    if let Some(parent) = job["extends"].as_str() {
        let mut whole = self::job(template, parent);
        let own = job.as_object_mut().expect("a job is a map");
        whole.as_object_mut().expect("a job is a map").append(own);
        return whole;
    }
    job
}

/// Runs a job of the template with the variables that GitLab sets, and those of the test.
fn run(project: &Project, name: &str, variables: &[(&str, &str)]) -> Ended {
    run_with_cache(project, name, variables, &TestDir::new())
}

/// As `run`, with a directory that the runner mounts for all jobs.
fn run_with_cache(
    project: &Project,
    name: &str,
    variables: &[(&str, &str)],
    cache: &TestDir,
) -> Ended {
    let job = job(&project.template(TEMPLATE), name);
    let ended = run_job(project, &job, &[], variables, cache);
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    ended
}

/// Runs a job to its end, in a container that the runner starts with docker's `options`.
pub(super) fn run_job(
    project: &Project,
    job: &Value,
    options: &[&str],
    variables: &[(&str, &str)],
    cache: &TestDir,
) -> Ended {
    assert_eq!(job["image"]["entrypoint"], serde_json::json!([""]));
    let scripts = TestDir::new();
    for (file, parts) in [
        ("script", &["before_script", "script"][..]),
        ("after_script", &["after_script"]),
    ] {
        let lines: Vec<String> = parts
            .iter()
            .flat_map(|part| super::strings(&job[part]))
            .collect();
        let script = format!("set -eo pipefail\n{}\n", lines.join("\n"));
        fs::write(scripts.join(file), script).expect("write a script");
    }
    let host = project.registry.host();
    let mut call = Call::script(RUNNER)
        .env("CI", "true")
        .env("CI_PROJECT_DIR", CHECKOUT)
        .env("CI_REGISTRY", &host)
        .env("CI_REGISTRY_USER", registry::USER)
        .env("CI_REGISTRY_PASSWORD", registry::PASSWORD)
        .env("CI_REGISTRY_IMAGE", &format!("{host}/team/app"))
        .env("CI_COMMIT_SHORT_SHA", "1a2b3c4d")
        .env("CI_COMMIT_TAG", "v1.0")
        .env("CI_COMMIT_REF_SLUG", "main")
        .volume(project.checkout.path(), CHECKOUT)
        .volume(cache.path(), "/cache")
        .read_only_volume(scripts.path(), "/scripts");
    for (name, value) in variables {
        call = call.env(name, value);
    }
    docker::run(options, &call)
}

fn digest(project: &Project, file: &str) -> String {
    fs::read_to_string(project.checkout.join(file)).expect("the job's artifact")
}

#[test]
fn a_job_builds_and_leaves_its_artifact() {
    let project = Project::new(DOCKERFILE);
    run(&project, "build-image", &[]);
    for tag in ["1a2b3c4d", "main"] {
        let image = check_image(&project.registry, &format!("team/app:{tag}"), &project.base);
        assert_eq!(image.digest(), digest(&project, "digest"));
        assert!(image.tree().has("name") && !image.tree().has("builds"));
    }
}

#[test]
fn a_job_builds_two_images_in_one_container() {
    let project = Project::new(DOCKERFILE);
    let ended = run(&project, "build-two-images", &[]);
    let mut digests = String::new();
    for target in ["app", "worker"] {
        let name = format!("team/app/{target}:1a2b3c4d");
        let image = check_image(&project.registry, &name, &project.base);
        assert_eq!(
            image.tree().get("name").kind,
            crate::support::Kind::file(&format!("{target}\n"))
        );
        digests += &image.digest();
    }
    // What `after_script` shows.
    assert!(ended.stdout.ends_with(&digests), "{}", ended.stdout);
}

#[test]
fn a_job_takes_its_base_through_a_proxy_with_another_login() {
    let project = Project::new(&DOCKERFILE.replace("=BASE", "=127.0.0.1:1/nothing"));
    let proxy = Registry::start_with_password();
    Base::Busybox.push_to(&proxy);
    let host = proxy.host();
    let variables = [
        ("CI_DEPENDENCY_PROXY_SERVER", host.as_str()),
        ("CI_DEPENDENCY_PROXY_USER", registry::USER),
        ("CI_DEPENDENCY_PROXY_PASSWORD", registry::PASSWORD),
        (
            "CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX",
            &format!("{host}/base"),
        ),
    ];
    run(&project, "build-through-dependency-proxy", &variables);
    check_image(&project.registry, "team/app:1a2b3c4d", &project.base);
}

#[test]
fn a_job_takes_its_logins_from_docker_auth_config() {
    let project = Project::new(DOCKERFILE);
    let credentials = project.credentials().to_string();
    run(
        &project,
        "build-with-docker-auth-config",
        &[("DOCKER_AUTH_CONFIG", &credentials)],
    );
    check_image(&project.registry, "team/app:1a2b3c4d", &project.base);
}

/// Which steps the build of a job has taken from a cache.
fn cached(ended: &Ended) -> Vec<String> {
    let lines = ended.stderr.lines();
    let cached = lines.filter_map(|line| line.split_once("] CACHED "));
    cached.map(|(_, step)| step.to_owned()).collect()
}

#[test]
fn a_job_finds_the_layers_of_the_one_before_it() {
    let project = Project::new(DOCKERFILE);
    let steps = ["COPY greeting /", "RUN echo worker >/name"];
    let first = run(&project, "build-with-cache", &[]);
    assert_eq!(cached(&first), Vec::<String>::new());
    let second = run(&project, "build-with-cache", &[]);
    assert_eq!(cached(&second), steps);
    check_image(&project.registry, "team/app:1a2b3c4d", &project.base);
}

#[test]
fn a_schedule_fills_the_directory_that_jobs_build_from() {
    let project = Project::new(DOCKERFILE);
    let cache = TestDir::new();
    let warmed = run_with_cache(&project, "warm-cache-directory", &[], &cache);
    assert!(
        warmed.stderr.contains("base/busybox:1"),
        "{}",
        warmed.stderr
    );
    let requests = project.registry.requests().len();
    let build = |name| run_with_cache(&project, name, &[], &cache);
    let first = build("build-with-cache-directory");
    assert_eq!(cached(&first), Vec::<String>::new());
    let pulled = project.registry.requests().into_iter().skip(requests);
    let is_pull = |request: &String| request.starts_with("GET /v2/base/busybox/blobs/");
    assert_eq!(pulled.filter(is_pull).count(), 0);
    let second = build("build-with-cache-directory");
    assert_eq!(
        cached(&second),
        ["COPY greeting /", "RUN echo worker >/name"]
    );
    check_image(&project.registry, "team/app:1a2b3c4d", &project.base);
}
