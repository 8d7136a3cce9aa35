//! `tekton/task.yaml`, as Tekton starts its steps: variables replaced, workspaces and results mounted.

use super::{Project, empty_dir, strings};
use crate::call::Call;
use crate::docker;
use crate::images::Variant;
use crate::support::check_image;
use serde_json::Value;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

const SOURCE: &str = "/workspace/source";

/// Replaces `$(…)` by what a run of the task with this image, and defaults for all else, gives.
fn filled(text: &str, task: &Value, image: &str) -> String {
    let mut text = text
        .replace("$(params.IMAGE)", image)
        .replace("$(workspaces.source.path)", SOURCE);
    for param in task["spec"]["params"].as_array().expect("parameters") {
        if let Some(default) = param["default"].as_str() {
            let name = param["name"].as_str().expect("a name");
            text = text.replace(&format!("$(params.{name})"), default);
        }
    }
    for result in task["spec"]["results"].as_array().expect("results") {
        let name = result["name"].as_str().expect("a name");
        text = text.replace(
            &format!("$(results.{name}.path)"),
            &format!("/tekton/results/{name}"),
        );
    }
    assert!(!text.contains("$("), "not declared: {text}");
    text
}

#[test]
fn the_task_builds_and_gives_its_results() {
    let project = Project::new("FROM BASE/busybox:1\nCOPY greeting /\nRUN echo task >/name\n");
    let task = project.template("tekton/task.yaml");
    let image = project.registry.reference("team/app:1");
    let (results, secret, scripts) = (empty_dir(), project.secret(), empty_dir());
    for step in task["spec"]["steps"].as_array().expect("steps") {
        let mut call = match step["script"].as_str() {
            None => {
                let args = strings(&step["args"]).into_iter();
                // An array without items leaves nothing.
                let args = args.filter(|arg| arg != "$(params.EXTRA_ARGS[*])");
                Call::executor(args.map(|arg| filled(&arg, &task, &image)))
            }
            Some(script) => {
                let file = scripts.join("script");
                fs::write(&file, filled(script, &task, &image)).expect("write the script");
                fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("set a mode");
                let debug = Variant::Debug.tag();
                let call = Call::executor(Vec::<String>::new());
                call.in_image(debug, "/tekton/scripts/script")
            }
        };
        call = call
            .volume(project.checkout.path(), SOURCE)
            .volume(results.path(), "/tekton/results")
            .read_only_volume(secret.path(), "/kaniko/.docker")
            .read_only_volume(scripts.path(), "/tekton/scripts");
        let ended = docker::run(&["--workdir", SOURCE], &call);
        assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    }
    let pushed = check_image(&project.registry, "team/app:1", &project.base);
    let result = |name: &str| fs::read_to_string(results.join(name)).expect("a result");
    assert_eq!(result("IMAGE_DIGEST"), pushed.digest());
    assert_eq!(result("IMAGE_URL"), image);
}
