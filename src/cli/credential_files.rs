//! The files that credentials are read from, and where they are looked for. What is in them is read elsewhere.

use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::registry::{DockerConfig, Source};

use super::environment;

/// Returns the files in the order in which they are asked. Each may be absent.
///
/// | | where | only if |
/// |---|---|---|
/// | docker's | `$DOCKER_CONFIG/config.json` | the variable is set |
/// | | `.docker/config.json` beside the program, which is in `/kaniko` | it is not, in our image |
/// | | `$HOME/.docker/config.json` | it is not |
/// | podman's | `$REGISTRY_AUTH_FILE` | the variable is set |
/// | | `$XDG_RUNTIME_DIR/containers/auth.json`, or `/run/containers/UID/auth.json` | it is not |
/// | | `$XDG_CONFIG_HOME/containers/auth.json`, or `~/.config/containers/auth.json` | it is not |
///
/// kaniko asks the first file that is there, and no other. Here a file may lack the host, and the next is asked.
pub(super) fn sources() -> Result<Vec<Source>> {
    let docker = docker_paths().into_iter().map(|path| source(path, true));
    let podman = podman_paths().into_iter().map(|path| source(path, false));
    docker.chain(podman).collect()
}

/// Returns the file that a login is kept in.
pub(super) fn login_file() -> Option<PathBuf> {
    docker_paths().into_iter().next()
}

fn docker_paths() -> Vec<PathBuf> {
    let directories = match environment::path_variable("DOCKER_CONFIG") {
        Some(directory) => vec![directory],
        None => {
            let homes = environment::image_directory()
                .into_iter()
                .chain(environment::path_variable("HOME"));
            homes.map(|home| home.join(".docker")).collect()
        }
    };
    let files = directories.iter();
    files
        .map(|directory| directory.join("config.json"))
        .collect()
}

/// containers-auth.json(5).
fn podman_paths() -> Vec<PathBuf> {
    if let Some(file) = environment::path_variable("REGISTRY_AUTH_FILE") {
        return vec![file];
    }
    let runtime = environment::path_variable("XDG_RUNTIME_DIR").map_or_else(
        || {
            let user = rustix::process::getuid().as_raw();
            PathBuf::from(format!("/run/containers/{user}/auth.json"))
        },
        |directory| directory.join("containers/auth.json"),
    );
    let config = environment::path_variable("XDG_CONFIG_HOME")
        .or_else(|| environment::path_variable("HOME").map(|home| home.join(".config")));
    let config = config.map(|directory| directory.join("containers/auth.json"));
    [runtime].into_iter().chain(config).collect()
}

/// Where people put what they rely on, a file that may not be read is an error. Elsewhere it is somebody else's.
fn source(path: PathBuf, is_relied_on: bool) -> Result<Source> {
    let origin = path.to_string_lossy().into_owned();
    let absent = |why: String| {
        let origin = origin.clone();
        Ok(Source::Absent { origin, why })
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let config = DockerConfig::parse(&text, &origin);
            let config =
                config.with_context(|| format!("cannot read credentials from `{origin}`"))?;
            Ok(Source::Config(config))
        }
        Err(error) => match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => absent("no such file".to_owned()),
            ErrorKind::PermissionDenied if !is_relied_on => absent(error.to_string()),
            _ => Err(error).with_context(|| format!("cannot read `{origin}`")),
        },
    }
}
