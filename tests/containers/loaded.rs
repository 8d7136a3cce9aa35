//! Docker itself reads the archives that are written for it, and runs what is in them.

use super::daemon::Daemon;
use crate::support::{Site, Who};

#[test]
fn docker_loads_and_runs_an_archive() {
    let site = Site::busybox();
    let context = site.context("RUN echo from the image > /text\nCMD [\"cat\", \"/text\"]");
    let daemon = Daemon::shared();
    // In gzip: this Docker (20.10) knows no zstd.
    let name = "loaded:here";
    let executor = site.executor(Who::User, &context);
    let tar = executor.out("image.tar");
    let output = format!("--output=type=docker,dest={},name={name}", tar.display());
    // It keeps the directory that the archive is in.
    let build = executor.args(["--no-push", &output]).run();
    build.assert_success();
    let load = daemon.docker(["load", "--quiet", "--input"]).arg(&tar);
    let loaded = load.run();
    assert!(loaded.contains(name), "{loaded}");
    let run = daemon.docker(["run", "--rm", "--network", "none", name]);
    assert_eq!(run.run(), "from the image\n");
    daemon.docker(["rmi", "--force", name]).run();
}
