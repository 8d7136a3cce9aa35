//! What the program takes from its environment: the only place that reads it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Returns the value of a variable; `None` where it is unset, empty or not text.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the value of a variable as a path; `None` where it is unset or empty.
pub(super) fn path_variable(name: &str) -> Option<PathBuf> {
    let value: Option<OsString> = std::env::var_os(name).filter(|value| !value.is_empty());
    value.map(PathBuf::from)
}

/// Returns the bytes of a variable, which may be empty; `None` where it is unset.
pub(super) fn secret_variable(name: &str) -> Option<Vec<u8>> {
    std::env::var_os(name).map(OsString::into_encoded_bytes)
}

/// Says whether any variable's name begins with `prefix`.
pub(super) fn has_variable_like(prefix: &str) -> bool {
    std::env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
}

/// Reads all of standard input as text, and fails if it has more bytes than `limit`.
pub(super) fn standard_input(limit: u64) -> Result<String> {
    let mut bytes = Vec::new();
    let input = std::io::stdin().lock();
    input.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        bail!("it is larger than {limit} bytes");
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Returns a handle on standard output for an archive, which no terminal can show.
pub(super) fn standard_output() -> Result<File> {
    let stdout = std::io::stdout();
    if stdout.is_terminal() {
        bail!("standard output is a terminal, and the archive is binary: redirect it");
    }
    let descriptor = stdout.as_fd().try_clone_to_owned();
    Ok(File::from(
        descriptor.context("cannot use standard output")?,
    ))
}

/// Returns the directory that relative paths start from.
///
/// Where it is gone, and another one has its name, that one: in a container, mode `inplace` replaces
/// directories of the image, and with them the one that the job's shell is in.
pub(super) fn current_dir() -> Result<PathBuf> {
    let error = match std::env::current_dir() {
        Ok(directory) => return Ok(directory),
        Err(error) => error,
    };
    match path_variable("PWD").filter(|path| path.is_absolute() && path.is_dir()) {
        Some(directory) => Ok(directory),
        None => Err(error).context("cannot find the current directory"),
    }
}

/// Returns `path` as an absolute path without `.`; `..` and a slash at the end stay, since a link before them counts.
pub(super) fn absolute(path: &Path, current_dir: &Path) -> PathBuf {
    let joined = current_dir.join(path);
    // Fails for an empty path only.
    std::path::absolute(&joined).unwrap_or(joined)
}

/// Returns the variables whose names begin with `prefix`, and their values. Those that are empty or not text are left out.
pub(super) fn variables_like(prefix: &str) -> Vec<(String, String)> {
    let pairs = std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        (name.starts_with(prefix) && !value.is_empty()).then_some((name, value))
    });
    pairs.collect()
}

/// Returns the directory of the program, in our own image. `None` elsewhere.
pub(super) fn image_directory() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let directory = program.parent()?;
    let is_ours = directory.join(".sawagani-image").exists();
    is_ours.then(|| directory.to_owned())
}

/// Returns the directories that hold certificates for each registry, best first, as containers/image reads them
/// (containers-certs.d(5)); docker knows the last.
pub(super) fn certificate_dirs() -> Vec<PathBuf> {
    let own = path_variable("HOME").map(|home| home.join(".config/containers/certs.d"));
    let usual = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.into_iter().chain(usual).collect()
}

/// Returns the directories for a build's files, best first: where no `--state-dir` is given.
pub(super) fn state_dir_candidates(current_dir: &Path) -> Vec<PathBuf> {
    let temporary = path_variable("TMPDIR");
    let usual = ["/var/tmp", "/tmp"].map(PathBuf::from);
    // Where a user without any right may still write: their home, and the place of a job's files.
    let own = path_variable("HOME");
    let workspace = PathBuf::from("/workspace");
    let last = own
        .into_iter()
        .chain([workspace, current_dir.to_path_buf()]);
    temporary
        .into_iter()
        .chain(image_directories())
        .chain(usual)
        .chain(last)
        .collect()
}

/// Makes a directory for files of a command that is no build, where a build's would be. It goes with the value.
pub(super) fn scratch_dir(current_dir: &Path) -> Result<tempfile::TempDir> {
    let candidates = state_dir_candidates(current_dir);
    let mut made = candidates.iter().map(tempfile::tempdir_in);
    let made = made.find_map(Result::ok);
    made.context("no directory can be written: set TMPDIR")
}

/// Returns the directories for a build's files in our own image, which has neither /var/tmp nor /tmp. Empty elsewhere.
///
/// `work` beside the program is a volume where the container's runtime makes those that images ask for, so that it can
/// hold overlays; the program's own directory lies on the container's root file system.
fn image_directories() -> Vec<PathBuf> {
    match image_directory() {
        Some(directory) => vec![directory.join("work"), directory],
        None => Vec::new(),
    }
}

/// Returns the directories of a list such as `$SSL_CERT_DIR`, separated by colons. Empty where the
/// variable is unset.
pub(super) fn path_list(name: &str) -> Vec<PathBuf> {
    let value = std::env::var_os(name).unwrap_or_default();
    let paths = std::env::split_paths(&value);
    paths.filter(|path| !path.as_os_str().is_empty()).collect()
}
