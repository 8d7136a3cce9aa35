//! The jobs in `kubernetes/`, as the kubelet starts their container: its user, capabilities, volumes and secret.

use super::{Project, empty_dir, strings};
use crate::call::Call;
use crate::pod::{self, Pod};
use crate::support::process::Ended;
use crate::support::{TestDir, check_image};
use crate::{docker, pod_config};
use serde_json::Value;

const WITH_RUN: &str = "FROM BASE/busybox:1\nCOPY greeting /\nRUN chown app /greeting\n";
const WITHOUT_RUN: &str = "FROM BASE/busybox:1\nCOPY --chown=1000 greeting /\n";

/// Runs the container of a job; the image that it pushes must be sound.
fn run(project: &Project, path: &str) -> Ended {
    let job = project.template(path);
    let pod = &job["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut call = Call::executor(strings(&container["args"]));
    // Kept to the end of the container.
    let mut dirs: Vec<TestDir> = Vec::new();
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let target = mount["mountPath"].as_str().expect("a path");
        if mount["name"] == "context" {
            call = call.read_only_volume(project.checkout.path(), target);
            continue;
        }
        let volumes = pod["volumes"].as_array().expect("volumes");
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"]);
        let volume = volume.unwrap_or_else(|| panic!("no volume {}", mount["name"]));
        let dir = if volume["secret"].is_object() {
            project.secret()
        } else {
            empty_dir()
        };
        call = match mount["readOnly"].as_bool() {
            Some(true) => call.read_only_volume(dir.path(), target),
            Some(false) | None => call.volume(dir.path(), target),
        };
        dirs.push(dir);
    }
    let options = options(pod, container);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let ended = if pod["hostUsers"] == false {
        let pod = Pod {
            options: &options,
            alter: pod_config::with_own_users,
            root: pod_config::FIRST_USER,
        };
        pod::run(&pod, &call)
    } else {
        docker::run(&options, &call)
    };
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    let image = check_image(&project.registry, "team/app:1.0", &project.base);
    assert_eq!(image.tree().get("greeting").uid, 1000);
    ended
}

/// What `docker run` takes for the security contexts of the pod and the container.
fn options(pod: &Value, container: &Value) -> Vec<String> {
    let (of_pod, of_container) = (&pod["securityContext"], &container["securityContext"]);
    let mut options = Vec::new();
    if let Some(user) = of_pod["runAsUser"].as_u64() {
        let group = of_pod["runAsGroup"].as_u64().unwrap_or(0);
        options.push(format!("--user={user}:{group}"));
    }
    if of_container["allowPrivilegeEscalation"] == false {
        options.push("--security-opt=no-new-privileges".to_owned());
    }
    if of_container["readOnlyRootFilesystem"] == true {
        options.push("--read-only".to_owned());
    }
    if of_container["appArmorProfile"]["type"] == "Unconfined" {
        options.push("--security-opt=apparmor=unconfined".to_owned());
    }
    let capabilities = &of_container["capabilities"];
    options.extend(
        strings(&capabilities["drop"])
            .iter()
            .map(|name| format!("--cap-drop={name}")),
    );
    options.extend(
        strings(&capabilities["add"])
            .iter()
            .map(|name| format!("--cap-add={name}")),
    );
    options
}

#[test]
fn a_job_with_default_settings_builds_in_place() {
    let ended = run(&Project::new(WITH_RUN), "kubernetes/job.yaml");
    assert!(
        ended.stderr.contains("isolation: inplace"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_restricted_job_builds_what_needs_no_run() {
    let ended = run(&Project::new(WITHOUT_RUN), "kubernetes/job-restricted.yaml");
    assert!(ended.stderr.contains("isolation: none"), "{}", ended.stderr);
}

#[test]
fn a_job_with_its_own_users_builds_in_namespaces() {
    let ended = run(&Project::new(WITH_RUN), "kubernetes/job-own-users.yaml");
    assert!(ended.stderr.contains("isolation: ns"), "{}", ended.stderr);
}
