//! Jobs as users of kaniko have them, `testdata/gitlab/kaniko.yml`: only the image's name is another one.

use super::gitlab::{job, run_job};
use super::{Project, yaml};
use crate::call::Call;
use crate::docker;
use crate::support::process::Ended;
use crate::support::{Kind, Registry, TestDir, check_image};
use serde_json::Value;
use std::fs;
use std::path::Path;

const DOCKERFILE: &str = "FROM BASE/busybox:1\n\
    COPY greeting /\n\
    RUN rm -rf /bin/false /tmp/x && echo proxy=$http_proxy >/name\n";

/// A name that only the job's container knows.
const NAME: &str = "registry.test";

fn run(project: &Project, name: &str, options: &[&str], variables: &[(&str, &str)]) -> Ended {
    let jobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/gitlab/kaniko.yml");
    let job = job(&yaml(&jobs), name);
    run_job(project, &job, options, variables, &TestDir::new())
}

/// Gives the registry a name, as on loopback nobody needs an authority or a proxy. Returns the host, and for `--add-host`
/// what it means.
fn named(project: &Project) -> (String, String) {
    let named = |text: &str| text.replace("127.0.0.1", NAME);
    let dockerfile = project.checkout.join("Dockerfile");
    let lines = fs::read_to_string(&dockerfile).expect("read the Dockerfile");
    fs::write(&dockerfile, named(&lines)).expect("write the Dockerfile");
    (named(&project.registry.host()), format!("{NAME}:127.0.0.1"))
}

fn artifact(project: &Project, name: &str) -> String {
    fs::read_to_string(project.checkout.join(name)).expect("the job's artifact")
}

/// The ways in which a job says who it is: the second leaves it to what GitLab sets.
const LOGINS: [&str; 2] = ["login-in-config-json", "login-of-the-job"];

#[test]
fn a_job_of_kanikos_needs_another_image_name_only() {
    for name in LOGINS {
        let project = Project::new(DOCKERFILE);
        let ended = run(&project, name, &[], &[]);
        assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
        let image = check_image(&project.registry, "team/app:v1.0", &project.base);
        assert_eq!(artifact(&project, "digest"), image.digest(), "{name}");
        // What comes after the build in the same shell, and in the one that the runner starts afterwards.
        assert!(
            ended.stdout.contains("after the build\n"),
            "{}",
            ended.stdout
        );
        assert!(
            ended.stdout.ends_with("after the job\n"),
            "{}",
            ended.stdout
        );
    }
}

/// The first job that a guide shows, as somebody copies it.
fn job_in(guide: &str) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(guide);
    let text = fs::read_to_string(file).expect("read the guide");
    let (_, rest) = text.split_once("```yaml\n").expect("the guide has a job");
    let (lines, _) = rest.split_once("```").expect("the job has an end");
    let copied = TestDir::new();
    fs::write(copied.join("job.yml"), lines).expect("write the job");
    job(&yaml(&copied.join("job.yml")), "build-image")
}

#[test]
fn the_jobs_that_guides_show_build() {
    for (guide, tag) in [("README.md", "1a2b3c4d"), ("docs/from-kaniko.md", "v1.0")] {
        let project = Project::new(DOCKERFILE);
        let ended = run_job(&project, &job_in(guide), &[], &[], &TestDir::new());
        assert_eq!(ended.code(), 0, "{guide}: {}{}", ended.stdout, ended.stderr);
        check_image(&project.registry, &format!("team/app:{tag}"), &project.base);
    }
}

#[test]
fn a_job_builds_twice_with_flags_that_clean_up_and_uploads_something() {
    let project = Project::new(DOCKERFILE);
    let ended = run(&project, "two-builds", &[], &[]);
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    for name in ["team/app/first:v1.0", "team/app/second:v1.0"] {
        check_image(&project.registry, name, &project.base);
    }
    let names = artifact(&project, "names");
    assert!(names.contains("/team/app/second:v1.0@sha256:"), "{names}");
    let upload = "POST /v2/team/app/names/blobs/uploads/".to_owned();
    assert!(project.registry.requests().contains(&upload));
}

#[test]
fn a_failing_step_fails_the_job_and_what_comes_afterwards_is_done() {
    let project = Project::new("FROM BASE/busybox:1\nRUN rm -rf /bin/false /etc; exit 42\n");
    let ended = run(&project, "login-in-config-json", &[], &[]);
    assert_eq!(ended.code(), 42, "{}{}", ended.stdout, ended.stderr);
    assert!(
        !ended.stdout.contains("after the build\n"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.ends_with("after the job\n"),
        "{}",
        ended.stdout
    );
    let requests = project.registry.requests();
    assert!(
        !requests
            .iter()
            .any(|request| request.starts_with("PUT ") && !request.contains("/base/")),
        "{requests:?}"
    );
}

#[test]
fn a_job_adds_an_authority_to_the_images() {
    let project = Project::on(Registry::start_with_tls(), DOCKERFILE);
    let (host, add_host) = named(&project);
    let image = format!("{host}/team/app");
    let build = |authority: &str| {
        let variables = [
            ("CI_REGISTRY", host.as_str()),
            ("CI_REGISTRY_IMAGE", &image),
            ("CA_CERTIFICATE", authority),
        ];
        run(
            &project,
            "own-authority",
            &["--add-host", &add_host],
            &variables,
        )
    };
    let refused = build("");
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    let authority = fs::read_to_string(project.registry.ca_file()).expect("read the authority");
    let ended = build(&authority);
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    check_image(&project.registry, "team/app:v1.0", &project.base);
}

#[test]
fn a_job_heeds_its_proxies_and_hands_them_to_its_steps() {
    let project = Project::on(Registry::start(), DOCKERFILE);
    let (host, add_host) = named(&project);
    let image = format!("{host}/team/app");
    let build = |no_proxy: &str| {
        let variables = [
            ("CI_REGISTRY", host.as_str()),
            ("CI_REGISTRY_IMAGE", &image),
            // Nobody answers there.
            ("http_proxy", "http://127.0.0.1:1"),
            ("https_proxy", "http://127.0.0.1:1"),
            ("no_proxy", no_proxy),
        ];
        run(
            &project,
            "behind-a-proxy",
            &["--add-host", &add_host],
            &variables,
        )
    };
    let refused = build("other.test");
    assert_eq!(refused.code(), 1, "{}", refused.stderr);
    let ended = build(&format!("localhost,{NAME}"));
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    let image = check_image(&project.registry, "team/app:v1.0", &project.base);
    let seen = Kind::file("proxy=http://127.0.0.1:1\n");
    assert_eq!(image.tree().get("name").kind, seen);
    assert!(
        !image.config.to_string().contains("127.0.0.1:1\""),
        "{}",
        image.config
    );
}

/// `--kaniko-dir`, and its variable: where the executor finds that the container is its own.
#[test]
fn the_executors_files_may_lie_elsewhere() {
    let project = Project::on(Registry::start(), DOCKERFILE);
    let build = |flag: &str, variable: &str| {
        let destination = project.registry.reference("team/app:v1.0");
        let script = format!(
            "cp -R /kaniko /elsewhere; /elsewhere/executor --destination {destination} {flag}; ls /elsewhere"
        );
        let call = Call::script(&script).env("KANIKO_DIR", variable);
        let ended = docker::run(
            &[],
            &call.read_only_volume(project.checkout.path(), "/workspace"),
        );
        assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains("executor\n"), "{}", ended.stdout);
        let image = check_image(&project.registry, "team/app:v1.0", &project.base);
        assert!(!image.tree().has("elsewhere"));
        ended.stderr
    };
    for (flag, variable) in [
        ("--kaniko-dir /elsewhere", ""),
        ("", "/elsewhere"),
        ("--kaniko-dir=/elsewhere", "/nowhere"),
    ] {
        let log = build(flag, variable);
        assert!(
            log.contains("isolation: inplace"),
            "{flag} {variable}: {log}"
        );
    }
    // Else it is a directory as any job may have made it.
    assert!(build("", "").contains("isolation: inplace"));
}
