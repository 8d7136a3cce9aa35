//! The built `executor`, run as a person or a CI job runs it.

use super::account::{Account, Who};
use super::context::Context;
use super::leaks::Leaks;
use super::process::{Ended, Running};
use super::program::install;
use super::test_dir::TestDir;
use rustix::process::Signal;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Duration;

/// Long enough for the largest build of the tests on a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(600);

/// One call of the executor, with a home, a `TMPDIR` and a state directory of its own.
pub(crate) struct Executor {
    account: Account,
    dir: TestDir,
    state_dir: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    /// What the call reads, kept until its end.
    contexts: Vec<Rc<TestDir>>,
    one_core: bool,
    /// What it reads on standard input.
    input: Option<fs::File>,
    timeout: Duration,
}

impl Executor {
    pub(crate) fn new(who: Who) -> Self {
        let account = who.account();
        let dir = TestDir::new();
        install(
            Path::new(env!("CARGO_BIN_EXE_executor")),
            &dir.join("executor"),
        );
        for name in ["home", "tmp", "state", "out"] {
            let path = dir.join(name);
            fs::create_dir(&path).expect("make a directory of the executor");
            chown(&path, Some(account.uid), Some(account.gid)).expect("give it to the account");
        }
        let state_dir = dir.join("state");
        Self {
            account,
            dir,
            state_dir,
            args: Vec::new(),
            env: Vec::new(),
            contexts: Vec::new(),
            one_core: false,
            input: None,
            timeout: TIMEOUT,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// `--context`, and `--dockerfile` with the Dockerfile in it. The context is given to the account, as a CI job
    /// owns its checkout.
    pub(crate) fn context(self, context: &Context) -> Self {
        let dockerfile = context.path().join("Dockerfile");
        self.context_alone(context)
            .arg("--dockerfile")
            .arg(dockerfile)
    }

    /// `--context` without `--dockerfile`.
    pub(crate) fn context_alone(mut self, context: &Context) -> Self {
        self.own(context);
        self.arg("--context").arg(context.path())
    }

    /// `--build-context`, with a directory that is given to the account too.
    pub(crate) fn named_context(mut self, name: &str, context: &Context) -> Self {
        self.own(context);
        self.arg(format!(
            "--build-context={name}={}",
            context.path().display()
        ))
    }

    fn own(&mut self, context: &Context) {
        self.contexts.push(context.keep());
        for entry in walkdir::WalkDir::new(context.path()) {
            let entry = entry.expect("walk the context");
            lchown(entry.path(), Some(self.account.uid), Some(self.account.gid)).expect("give it");
        }
    }

    pub(crate) fn destination(self, reference: &str) -> Self {
        self.arg("--destination").arg(reference)
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Works in another state directory than its own: one shared with an earlier call, or on a file system that fills.
    pub(crate) fn state_dir(mut self, path: &Path) -> Self {
        chown(path, Some(self.account.uid), Some(self.account.gid))
            .expect("give the state directory to the account");
        self.state_dir = path.to_owned();
        self
    }

    /// Runs another build of the program than the one that cargo made for the tests.
    pub(crate) fn program(self, built: &Path) -> Self {
        let path = self.dir.join("executor");
        fs::remove_file(&path).expect("remove the usual program");
        install(built, &path);
        self
    }

    /// Gives it a text on standard input.
    pub(crate) fn input(self, text: impl AsRef<[u8]>) -> Self {
        let path = self.dir.join("input");
        fs::write(&path, text).expect("write the input");
        self.input_from(fs::File::open(path).expect("open the input"))
    }

    /// Makes something that is open its standard input.
    pub(crate) fn input_from(mut self, file: impl Into<std::os::fd::OwnedFd>) -> Self {
        self.input = Some(fs::File::from(file.into()));
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Lets the call use one core, however many the machine has.
    pub(crate) fn on_one_core(mut self) -> Self {
        self.one_core = true;
        self
    }

    /// A word that this call's processes and mounts carry in their paths. Put into the arguments of a RUN's own
    /// processes, it makes them findable as well.
    pub(crate) fn token(&self) -> &str {
        self.dir.token()
    }

    /// Where the call may write what it is asked to write, such as a digest file.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.dir.join("out").join(name)
    }

    /// The call's home directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// Runs to the end.
    pub(crate) fn run(self) -> Build {
        self.start().wait()
    }

    /// Runs a command that takes no flags of a build to its end.
    pub(crate) fn run_as_given(self) -> Build {
        self.start_with(&[]).wait()
    }

    /// Starts, for a test that watches or interrupts it.
    pub(crate) fn start(self) -> RunningBuild {
        let state_dir = self.state_dir.clone();
        self.start_with(&[OsStr::new("--state-dir"), state_dir.as_os_str()])
    }

    fn start_with(self, more: &[&OsStr]) -> RunningBuild {
        let program = self.dir.join("executor");
        let mut command = Command::new(if self.one_core {
            Path::new("taskset")
        } else {
            &program
        });
        if self.one_core {
            command.args(["--cpu-list", "0"]).arg(&program);
        }
        command
            .args(&self.args)
            .args(more)
            .current_dir(self.dir.join("home"))
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", self.dir.join("home"))
            .env("USER", self.account.name)
            .env("TMPDIR", self.dir.join("tmp"))
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        if self.account.uid != 0 {
            // Also drops root's supplementary groups, as `uid` does for a process that is root.
            command.gid(self.account.gid).uid(self.account.uid);
        }
        let input = self.input.map_or_else(Stdio::null, Stdio::from);
        let running = Running::start_with_input("executor", command, input, self.timeout);
        RunningBuild {
            running,
            _contexts: self.contexts,
            dir: self.dir,
            state_dir: self.state_dir,
        }
    }
}

/// An executor at work.
pub(crate) struct RunningBuild {
    running: Running,
    _contexts: Vec<Rc<TestDir>>,
    dir: TestDir,
    state_dir: PathBuf,
}

impl RunningBuild {
    pub(crate) fn wait_for_output(&mut self, text: &str) {
        self.running.wait_for_output(text);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.running.signal(signal);
    }

    pub(crate) fn wait(self) -> Build {
        let ended = self.running.wait();
        assert!(
            !ended.timed_out,
            "the executor did not end in time\n{}",
            report(&ended)
        );
        Build {
            ended,
            dir: self.dir,
            state_dir: self.state_dir,
        }
    }
}

/// An executor that has ended.
pub(crate) struct Build {
    ended: Ended,
    dir: TestDir,
    state_dir: PathBuf,
}

impl Build {
    pub(crate) fn stdout(&self) -> &str {
        &self.ended.stdout
    }

    /// What it wrote to standard output, as bytes.
    pub(crate) fn stdout_bytes(&self) -> &[u8] {
        &self.ended.stdout_bytes
    }

    pub(crate) fn stderr(&self) -> &str {
        &self.ended.stderr
    }

    /// The exit code; 128 plus the number of the signal that ended it.
    pub(crate) fn code(&self) -> i32 {
        self.ended.code()
    }

    /// Everything that was printed and how it ended, for a failing assertion.
    pub(crate) fn report(&self) -> String {
        report(&self.ended)
    }

    /// Where a file named by `Executor::out` is.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.dir.join("out").join(name)
    }

    /// Reads a file named by `Executor::out`.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.dir.join("out").join(name);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("no `{name}`: {error}\n{}", self.report()))
    }

    /// Exit 0, and nothing left behind.
    pub(crate) fn assert_success(&self) -> &Self {
        assert_eq!(self.code(), 0, "{}", self.report());
        self.assert_clean_end()
    }

    /// Exit with `code`, one error that has every one of `parts` (in any case), and nothing left behind.
    pub(crate) fn assert_error(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code(), code, "{}", self.report());
        let errors = self
            .stderr()
            .lines()
            .filter(|line| line.starts_with("error: "))
            .count();
        assert_eq!(
            errors,
            1,
            "one line starts with `error: `\n{}",
            self.report()
        );
        let (_, from_error) = format!("\n{}", self.stderr())
            .split_once("\nerror: ")
            .map(|(before, after)| (before.len(), after.to_lowercase()))
            .expect("counted above");
        for part in parts {
            assert!(
                from_error.contains(&part.to_lowercase()),
                "the error lacks {part:?}\n{}",
                self.report()
            );
        }
        self.assert_clean_end()
    }

    /// No panic, no process, no mount, no working directory.
    pub(crate) fn assert_clean_end(&self) -> &Self {
        assert!(!self.stderr().contains("panicked at"), "{}", self.report());
        assert!(
            !self.ended.output_held_open,
            "something still holds the executor's output\n{}",
            self.report()
        );
        let leaks = self.leaks();
        assert!(leaks.is_empty(), "{leaks}{}", self.report());
        self
    }

    /// What is left once killed processes have had time to go.
    pub(crate) fn leaks(&self) -> Leaks {
        Leaks::settled(self.dir.token(), &self.state_dir)
    }
}

fn report(ended: &Ended) -> String {
    format!(
        "--- {}\n--- stdout\n{}\n--- stderr\n{}\n---",
        ended.status, ended.stdout, ended.stderr
    )
}
