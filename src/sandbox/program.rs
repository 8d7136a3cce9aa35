//! A command in the kernel's terms: strings that end with NUL, and files to try.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use crate::sys::Program;

use super::command::Command;
use super::run::RunError;

/// Where a program without a slash is searched if the step has no PATH, as in Docker.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Translates `command`, or says what of it no program can be given.
pub(super) fn program_of(command: &Command) -> Result<Program, RunError> {
    let program = command.argv.first().ok_or(RunError::Empty)?;
    let text = |what, bytes: &[u8]| CString::new(bytes).map_err(|_| RunError::Nul { what });
    text("working directory", command.cwd.as_os_str().as_bytes())?;
    text("host name", command.hostname.as_bytes())?;
    for file in &command.files {
        text("path of a file", file.target.as_os_str().as_bytes())?;
    }
    for mount in &command.mounts {
        text("target of a mount", mount.target.as_os_str().as_bytes())?;
    }
    let candidates = candidates(program, path_of(command));
    Ok(Program {
        candidates: candidates
            .iter()
            .map(|path| text("program", path))
            .collect::<Result<_, _>>()?,
        arguments: command
            .argv
            .iter()
            .map(|argument| text("argument", argument.as_bytes()))
            .collect::<Result<_, _>>()?,
        environment: assignments(command)
            .iter()
            .map(|assignment| text("environment", assignment))
            .collect::<Result<_, _>>()?,
        uid: command.user.uid,
        gid: command.user.gid,
        groups: all_groups(command),
    })
}

/// Returns the environment, each variable once if a secret is among those of its name.
fn assignments(command: &Command) -> Vec<Vec<u8>> {
    let secrets = &command.secret_env;
    let is_secret = |name: &OsStr| secrets.iter().any(|(secret, _)| secret == name);
    let plain = command.env.iter().filter(|(name, _)| !is_secret(name));
    let plain = plain.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat());
    let secret = secrets
        .iter()
        .map(|(name, value)| [name.as_bytes(), b"=", value.reveal()].concat());
    plain.chain(secret).collect()
}

/// The primary group is among the supplementary ones, as in containerd: otherwise a program could
/// leave it, and with it what it is denied.
fn all_groups(command: &Command) -> Vec<u32> {
    let user = &command.user;
    let mut groups = vec![user.gid];
    groups.extend(user.groups.iter().filter(|gid| **gid != user.gid));
    groups
}

fn path_of(command: &Command) -> &OsStr {
    let mut variables = command.env.iter();
    let path = variables.rfind(|(name, _)| name == "PATH");
    path.map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value)
}

/// Returns the files to try for `program`, as execvp(3) does: an empty directory in PATH is the
/// working directory.
fn candidates(program: &OsStr, path: &OsStr) -> Vec<Vec<u8>> {
    let program = program.as_bytes();
    if program.is_empty() || program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    let directories = path.as_bytes().split(|byte| *byte == b':');
    directories
        .map(|directory| {
            let directory = if directory.is_empty() {
                b"."
            } else {
                directory
            };
            [directory, b"/", program].concat()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(program: &str, path: &str) -> Vec<String> {
        let candidates = candidates(OsStr::new(program), OsStr::new(path));
        let text = |bytes| String::from_utf8(bytes).unwrap();
        candidates.into_iter().map(text).collect()
    }

    #[test]
    fn a_program_without_a_slash_is_searched_in_path() {
        assert_eq!(texts("sh", "/usr/bin:/bin"), ["/usr/bin/sh", "/bin/sh"]);
        assert_eq!(texts("sh", "/bin:"), ["/bin/sh", "./sh"]);
        assert_eq!(texts("./sh", "/bin"), ["./sh"]);
        assert_eq!(texts("/bin/sh", "/usr/bin"), ["/bin/sh"]);
        assert_eq!(texts("", "/bin"), [""]);
    }

    #[test]
    fn the_last_path_counts_and_the_primary_group_comes_first() {
        let mut command = Command::new(["sh"]);
        assert_eq!(path_of(&command), DEFAULT_PATH);
        command.env = [("PATH", "/a"), ("PATH", "/b")]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec();
        assert_eq!(path_of(&command), "/b");
        command.user.gid = 7;
        command.user.groups = vec![5, 7, 6];
        assert_eq!(all_groups(&command), [7, 5, 6]);
    }

    #[test]
    fn a_nul_byte_is_refused_before_anything_runs() {
        for (argument, cwd) in [("a\0b", "/"), ("a", "/\0")] {
            let mut command = Command::new(["sh", argument]);
            command.cwd = cwd.into();
            let error = program_of(&command).unwrap_err();
            assert!(matches!(error, RunError::Nul { .. }), "{error}");
        }
        let nothing: [&str; 0] = [];
        let error = program_of(&Command::new(nothing)).unwrap_err();
        assert!(matches!(error, RunError::Empty), "{error}");
    }
}
