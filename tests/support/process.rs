//! A running program whose output is watched as it comes, and which never outlives its deadline.

use super::tool;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a test waits for a line that should have been printed.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(120);

const POLL: Duration = Duration::from_millis(10);

/// How long the pipes may stay open after the program has ended: what holds them then has been left behind.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);

/// A started program, in a process group of its own. Dropping it kills the group.
pub(crate) struct Running {
    shown: String,
    child: Child,
    stdout: Capture,
    stderr: Capture,
    deadline: Instant,
}

/// How a program ended and what it printed.
#[derive(Debug, Clone)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    /// The same as it was printed, which need not be text.
    pub(crate) stdout_bytes: Vec<u8>,
    pub(crate) stderr: String,
    /// Whether the deadline passed, so that the program was killed.
    pub(crate) timed_out: bool,
    /// Whether something still held the program's output open after its end.
    pub(crate) output_held_open: bool,
}

impl Running {
    /// Starts `command`; `name` is what the user would call the program.
    pub(crate) fn start(name: &str, command: Command, timeout: Duration) -> Self {
        Self::start_with_input(name, command, Stdio::null(), timeout)
    }

    /// As `start`, with something to read on standard input.
    pub(crate) fn start_with_input(
        name: &str,
        mut command: Command,
        input: Stdio,
        timeout: Duration,
    ) -> Self {
        command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let shown = format!("{command:?}");
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{}", tool::why_not_started(name, &error)));
        let stdout = Capture::of(child.stdout.take().expect("piped"));
        let stderr = Capture::of(child.stderr.take().expect("piped"));
        Self {
            shown,
            child,
            stdout,
            stderr,
            deadline: Instant::now() + timeout,
        }
    }

    /// Waits until the program has printed `text`, to either stream; fails the test if it ends or takes too long.
    pub(crate) fn wait_for_output(&mut self, text: &str) {
        let deadline = self.deadline.min(Instant::now() + OUTPUT_PATIENCE);
        loop {
            // Asked before the output is read, so that what was printed last is still seen.
            let over = self.has_ended() || Instant::now() > deadline;
            let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
            if stdout.contains(text) || stderr.contains(text) {
                return;
            }
            let shown = &self.shown;
            assert!(
                !over,
                "{shown}\nnever printed {text:?}\nstdout:\n{stdout}\nstderr:\n{stderr}"
            );
            std::thread::sleep(POLL);
        }
    }

    /// Sends a signal to the program alone, as a CI runner does when a job is cancelled.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("signal the program");
    }

    /// What the program has printed to its standard output so far.
    pub(crate) fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("wait for the program")
            .is_some()
    }

    /// Waits for the end; past the deadline the whole group is killed.
    pub(crate) fn wait(mut self) -> Ended {
        let mut timed_out = false;
        while !self.has_ended() {
            if Instant::now() > self.deadline {
                timed_out = true;
                self.kill_group();
                break;
            }
            std::thread::sleep(POLL);
        }
        let status = self.child.wait().expect("wait for the program");
        let closed = Instant::now() + PIPE_PATIENCE;
        let output_held_open =
            !(self.stdout.closes_before(closed) && self.stderr.closes_before(closed));
        let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
        Ended {
            status,
            stdout,
            stdout_bytes: self.stdout.bytes(),
            stderr,
            timed_out,
            output_held_open,
        }
    }

    fn kill_group(&self) {
        // The group may be gone already, which is what is wanted.
        let _ = kill_process_group(self.pid(), Signal::KILL);
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.has_ended() {
            self.kill_group();
            self.child.wait().expect("wait for a killed program");
        }
    }
}

impl Ended {
    /// The exit code; for a program killed by a signal 128 plus its number, as a shell says it.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| 128 + self.status.signal().expect("ended by exit or signal"))
    }
}

/// What a stream has carried so far; a thread of its own reads it until it closes.
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Capture {
    fn of(mut stream: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            // A failing read ends the capture as a closed stream does.
            while let Ok(length @ 1..) = stream.read(&mut chunk) {
                into.lock()
                    .expect("no reader panics")
                    .extend_from_slice(&chunk[..length]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().expect("no reader panics").clone()
    }

    fn closes_before(&self, deadline: Instant) -> bool {
        while !self.reader.is_finished() {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }
}
