//! Programs that are asked for credentials over pipes. This module runs one; it must not know what is asked.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// A program that was started. Dropped before it has ended, it is killed, and with it what it has started: such programs
/// are often scripts.
pub struct AskedProgram {
    child: Child,
    /// The process group of the program. `None` once it has ended: what it leaves running then, it means to.
    group: Option<Pid>,
}

impl AskedProgram {
    /// Starts `program`. What it prints to standard error is thrown away, since it may hold a secret.
    pub fn start(
        program: &str,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> io::Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        let group = id.and_then(Pid::from_raw);
        Ok(Self { child, group })
    }

    /// Gives it `input`, and returns what it prints to standard output, `most` bytes of it, and how it ended.
    pub async fn converse(mut self, input: &str, most: u64) -> io::Result<(Vec<u8>, ExitStatus)> {
        if let Some(mut pipe) = self.child.stdin.take() {
            // A program that answers without reading closes its end: its answer counts.
            if let Err(error) = pipe.write_all(input.as_bytes()).await
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                return Err(error);
            }
        }
        let mut output = Vec::new();
        if let Some(pipe) = self.child.stdout.take() {
            pipe.take(most).read_to_end(&mut output).await?;
        }
        let status = self.child.wait().await?;
        self.group = None;
        Ok((output, status))
    }
}

impl Drop for AskedProgram {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // Fails where all of it has ended by itself.
            let _ended = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::{Duration, Instant};

    #[tokio::test]
    async fn a_program_that_is_given_up_takes_its_children_with_it() {
        let script = "sleep 300 & echo $!; wait";
        let mut asked = AskedProgram::start("/bin/sh", ["-c", script]).unwrap();
        let mut line = [0; 16];
        let mut pipe = asked.child.stdout.take().unwrap();
        let read = pipe.read(&mut line).await.unwrap();
        let child = std::str::from_utf8(&line[..read]).unwrap().trim();
        let child = Path::new("/proc").join(child).join("cmdline");
        assert!(!std::fs::read(&child).unwrap().is_empty());
        drop(asked);
        // A process that nobody has waited for yet has no command line any more.
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::fs::read(&child).is_ok_and(|line| !line.is_empty()) {
            assert!(Instant::now() < deadline, "the child is still there");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_is_asked_and_answered_goes_through_pipes() {
        let asked = AskedProgram::start("/bin/sh", ["-c", "cat; exit 3"]).unwrap();
        let (output, status) = asked.converse("question", 100).await.unwrap();
        assert_eq!((&output[..], status.code()), (&b"question"[..], Some(3)));
    }
}
