//! `jenkins/pod.yaml` and the pipeline beside it, as Jenkins does them: the container waits, each step is started in it.

use super::{Project, file, strings};
use crate::call::Call;
use crate::docker;
use crate::support::check_image;
use std::fs;

const WORKSPACE: &str = "/home/jenkins/agent/workspace/app";

#[test]
fn the_steps_of_the_pipeline_work_in_the_waiting_container() {
    let project = Project::new("FROM BASE/busybox:1\nCOPY greeting /\nRUN echo step >/name\n");
    let pod = project.template("jenkins/pod.yaml");
    let container = &pod["spec"]["containers"][0];
    let pipeline = fs::read_to_string(file("jenkins/Jenkinsfile")).expect("read the pipeline");
    let pipeline = pipeline.replace(super::NAMED_REGISTRY, &project.registry.host());
    let steps: Vec<&str> = pipeline
        .lines()
        .filter_map(|line| line.trim().strip_prefix("sh '")?.strip_suffix('\''))
        .collect();
    assert_eq!(steps.len(), 2, "{pipeline}");

    let secret = project.secret();
    let waiting = [strings(&container["command"]), strings(&container["args"])].concat();
    let mut call = Call::script("")
        .env("WORKSPACE", WORKSPACE)
        .env("BUILD_NUMBER", "7")
        .volume(project.checkout.path(), WORKSPACE)
        .read_only_volume(secret.path(), "/kaniko/.docker");
    call.command = waiting;
    let container = docker::start(&["--workdir", WORKSPACE], &call);
    container.wait_until_it_runs();
    let outputs: Vec<String> = steps.iter().map(|step| container.exec(step)).collect();
    let image = check_image(&project.registry, "team/app:7", &project.base);
    assert_eq!(outputs[1], image.digest());
}
