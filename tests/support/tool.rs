//! Another program that a test needs. A missing one fails the test with the package that has it.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// One call of an external program.
pub(crate) struct Tool {
    name: &'static str,
    command: Command,
}

impl Tool {
    pub(crate) fn new(name: &'static str) -> Self {
        let mut command = Command::new(name);
        command.stdin(Stdio::null());
        Self { name, command }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn in_dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Runs the program and returns its standard output; anything but exit 0 fails the test with all that it printed.
    pub(crate) fn run(self) -> String {
        let shown = format!("{:?}", self.command);
        let output = self.output();
        assert!(
            output.status.success(),
            "{shown}\nended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs the program and returns how it ended, whatever that was.
    pub(crate) fn output(mut self) -> Output {
        match self.command.output() {
            Ok(output) => output,
            Err(error) => panic!("{}", why_not_started(self.name, &error)),
        }
    }
}

/// Says why a program could not be started: for a missing one, which package to install.
pub(crate) fn why_not_started(name: &str, error: &std::io::Error) -> String {
    if error.kind() == ErrorKind::NotFound {
        let package = package_of(name);
        format!(
            "`{name}` is missing: install the Debian package `{package}`, or run `.ci/run`, which installs all"
        )
    } else {
        format!("cannot start `{name}`: {error}")
    }
}

fn package_of(name: &str) -> &str {
    match name {
        "busybox" => "busybox-static",
        "nginx" => "nginx-light",
        "docker" | "dockerd" => "docker.io",
        "setcap" | "getcap" => "libcap2-bin",
        "ssh-add" | "ssh-agent" | "ssh-keygen" => "openssh-client",
        "useradd" | "usermod" => "passwd",
        "newuidmap" | "newgidmap" => "uidmap",
        "xz" => "xz-utils",
        same => same,
    }
}
