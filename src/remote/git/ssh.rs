//! The program `ssh`, which has its own configuration, keys and known hosts. This module knows no git.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tracing::warn;

use super::super::options::RemoteOptions;
use super::url::ServerPath;
use crate::http::Untrusted;

/// How long its last words are waited for: a program that it left behind may hold the pipe.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Longest line of its words.
const LINE_BYTES_MAX: usize = 4096;

/// A running `ssh`. Ends with this.
pub(super) struct SshProgram {
    program: Child,
    /// Passes on what it says: much of that is the server's.
    words: JoinHandle<()>,
    runtime: Handle,
}

impl SshProgram {
    /// Starts it, and has the server run `asked`. Returns also what it reads from and what it writes to.
    pub(super) fn start(
        runtime: &Handle,
        options: &RemoteOptions,
        server: &ServerPath,
        asked: &str,
        protocol: &str,
    ) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let _runtime = runtime.enter();
        let mut program = command(options, server, asked, protocol).spawn()?;
        let streams = (
            program.stdin.take(),
            program.stdout.take(),
            program.stderr.take(),
        );
        let (Some(writer), Some(reader), Some(words)) = streams else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let started = Self {
            program,
            words: runtime.spawn(pass_on(words, |line| warn!("ssh: {}", Untrusted(line)))),
            runtime: runtime.clone(),
        };
        Ok((started, writer, reader))
    }
}

impl Drop for SshProgram {
    fn drop(&mut self) {
        // Fails if it has ended already.
        let _ = self.program.start_kill();
        let words = &mut self.words;
        let said = async { tokio::time::timeout(LAST_WORDS, &mut *words).await };
        if self.runtime.block_on(said).is_err() {
            self.words.abort();
        }
    }
}

fn command(options: &RemoteOptions, server: &ServerPath, asked: &str, protocol: &str) -> Command {
    let mut command = Command::new("ssh");
    command.args(["-o", "BatchMode=yes", "-o", "SendEnv=GIT_PROTOCOL"]);
    if let Some(port) = server.port {
        command.args(["-p", &port.to_string()]);
    }
    if !server.user.is_empty() {
        command.args(["-l", &server.user]);
    }
    if let Some(agent) = &options.ssh_agent {
        command.env("SSH_AUTH_SOCK", agent);
    }
    if !options.ssh_keys.is_empty() {
        command.args(["-o", "IdentitiesOnly=yes"]);
    }
    for key in &options.ssh_keys {
        command.arg("-i").arg(key);
    }
    command
        .arg("--")
        // A URL writes an IPv6 address in brackets, `ssh` takes it without.
        .arg(server.host.trim_start_matches('[').trim_end_matches(']'))
        .arg(asked)
        .env("GIT_PROTOCOL", protocol)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Hands on line after line; a line that is too long comes in pieces.
async fn pass_on(mut words: impl AsyncRead + Unpin, mut say: impl FnMut(&str)) {
    let mut say = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        if !line.trim().is_empty() {
            say(&line);
        }
    };
    let mut line = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(read @ 1..) = words.read(&mut buffer).await {
        for byte in &buffer[..read] {
            match byte {
                b'\n' => say(&std::mem::take(&mut line)),
                _ => line.push(*byte),
            }
            if line.len() >= LINE_BYTES_MAX {
                say(&std::mem::take(&mut line));
            }
        }
    }
    say(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn words_come_line_by_line_and_no_line_is_held_without_end() {
        let words = [&b"one\n\ntwo\n"[..], &[b'x'; LINE_BYTES_MAX + 1]].concat();
        let mut said = Vec::new();
        pass_on(&words[..], |line| said.push(line.to_owned())).await;
        assert_eq!(said[..2], ["one", "two"]);
        assert_eq!((said[2].len(), said[3].as_str()), (LINE_BYTES_MAX, "x"));
    }

    #[test]
    fn its_words_are_not_the_terminal_s_and_an_address_has_no_brackets() {
        let server = ServerPath {
            user: String::new(),
            host: "[::1]".to_owned(),
            port: None,
            path: String::new(),
        };
        let command = command(&RemoteOptions::default(), &server, "x", "version=2");
        let args: Vec<_> = command.as_std().get_args().collect();
        assert_eq!(args[args.len() - 3..], ["--", "::1", "x"]);
    }
}
