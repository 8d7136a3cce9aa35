//! RUN: a command in the stage's files.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::dockerfile::{Invocation, RunInstruction, Span};
use crate::fs::Root;
use crate::sandbox::{Command, Exit, Network, ResolvedUser, ShownFile, Stream, resolve_user};

use super::stage::{StageBuilder, run_history};
use super::{Event, LocatedError, OutputStream};

/// Where a here document that is a script appears to the command (BuildKit's choice).
const SCRIPT_DIR: &str = "/dev/pipes";

/// Mode of such a script.
const SCRIPT_MODE: u32 = 0o755;

impl StageBuilder<'_> {
    /// Executes a RUN.
    pub(super) fn run(&mut self, run: &RunInstruction, span: Span) -> Result<()> {
        let (argv, script) = self.argv(&run.invocation());
        let created_by = run_history(&self.scope, &argv);
        self.in_step(span, created_by, |builder, step| {
            let user = builder.user(step.root()?, span)?;
            let command = builder.command(&argv, script.as_ref(), user);
            let mut report = |stream, bytes: &[u8]| {
                builder.workshop.report(Event::Output {
                    step: &builder.name,
                    stream: match stream {
                        Stream::Stdout => OutputStream::Stdout,
                        Stream::Stderr => OutputStream::Stderr,
                    },
                    bytes,
                });
            };
            match step.run(&command, &builder.workshop.stop, &mut report) {
                Ok(Exit::Code(0)) => Ok(()),
                Ok(exit) => Err(builder.failed(span, exit).into()),
                Err(error) => Err(builder
                    .error(span, "cannot run the command")
                    .because(error)
                    .into()),
            }
        })
    }

    /// Returns the user that the stage's commands run as.
    pub(super) fn user(&self, root: &Root, span: Span) -> Result<ResolvedUser, LocatedError> {
        let text = &self.draft.config.config.user;
        resolve_user(root, text).map_err(|error| {
            self.error(span, format!("cannot run as the user `{text}`"))
                .because(error)
        })
    }

    fn command(&self, argv: &[String], script: Option<&ShownFile>, user: ResolvedUser) -> Command {
        let home = user.home.to_string_lossy().into_owned();
        let environment = self.scope.run_environment(&self.workshop.global, &home);
        let to_os = |(name, value): (String, String)| (OsString::from(name), OsString::from(value));
        Command {
            argv: argv.iter().map(OsString::from).collect(),
            env: environment.into_iter().map(to_os).collect(),
            cwd: PathBuf::from(self.draft.working_dir()),
            user,
            hostname: Command::DEFAULT_HOSTNAME.to_owned(),
            files: script.cloned().into_iter().collect(),
            network: Network::Host,
        }
    }

    fn failed(&self, span: Span, exit: Exit) -> LocatedError {
        match exit {
            Exit::Code(code) => self
                .error(span, format!("RUN failed with exit code {code}"))
                .exit_code(code),
            // kaniko's exit code of a command that a signal ended is -1, which is 255 to a shell.
            Exit::Signal(signal) => self
                .error(span, format!("RUN was killed by signal {signal}"))
                .exit_code(-1),
        }
    }

    /// Returns the words of the command, and the text of the script that they name.
    fn argv(&self, invocation: &Invocation) -> (Vec<String>, Option<ShownFile>) {
        let with_shell = |last: String| {
            let mut words = self.draft.shell();
            words.push(last);
            words
        };
        match invocation {
            Invocation::Exec(words) => (words.clone(), None),
            Invocation::Shell(text) => (with_shell(text.clone()), None),
            Invocation::Script { name, content } => {
                let path = format!("{SCRIPT_DIR}/{name}");
                let script = ShownFile {
                    target: PathBuf::from(&path),
                    contents: content.clone().into_bytes(),
                    mode: SCRIPT_MODE,
                };
                (with_shell(path), Some(script))
            }
        }
    }
}
