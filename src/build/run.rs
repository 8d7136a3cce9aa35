//! RUN: a command in the stage's files.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::dockerfile::{Invocation, NetworkMode, RunInstruction, SecurityMode, Span};
use crate::sandbox::user::ResolvedUser;
use crate::sandbox::{self, Command, Exit, ReadOnlyBind, Step, Stream};

use super::stage::{StageBuilder, run_history};
use super::{Event, LocatedError, OutputStream};

/// Where a here document that is a script appears to the command (BuildKit's choice).
const SCRIPT_DIR: &str = "/dev/pipes";

impl StageBuilder<'_> {
    /// Executes a RUN.
    pub(super) fn run(&mut self, run: &RunInstruction, span: Span) -> Result<()> {
        self.refuse_what_is_missing(run, span)?;
        let (argv, script) = self.argv(&run.invocation());
        let created_by = run_history(&self.scope, &argv);
        self.in_step(span, created_by, |builder, step| {
            let user = builder.user(step, span)?;
            let command = builder.command(&argv, script.as_deref(), user)?;
            let report = |stream, bytes: &[u8]| {
                builder.workshop.report(Event::Output {
                    step: &builder.name,
                    stream: match stream {
                        Stream::Stdout => OutputStream::Stdout,
                        Stream::Stderr => OutputStream::Stderr,
                    },
                    bytes,
                });
            };
            match step.run(&command, &builder.workshop.stop, report) {
                Ok(Exit::Code(0)) => Ok(()),
                Ok(exit) => Err(builder.failed(span, exit).into()),
                Err(error) => {
                    Err(builder.error(span, "cannot run the command").because(error).into())
                }
            }
        })
    }

    /// Names what is parsed but not executed, before anything is done.
    fn refuse_what_is_missing(
        &self,
        run: &RunInstruction,
        span: Span,
    ) -> Result<(), LocatedError> {
        if !run.mounts.is_empty() {
            return Err(self.not_yet(span, "RUN --mount"));
        }
        if run.network == NetworkMode::None {
            return Err(self.not_yet(span, "RUN --network=none"));
        }
        if run.security == SecurityMode::Insecure {
            return Err(self.error(span, "not supported: RUN --security=insecure"));
        }
        if !run.devices.is_empty() {
            return Err(self.error(span, "not supported: RUN --device"));
        }
        Ok(())
    }

    /// Returns the words of the command, and the text of the script that they name.
    fn argv(&self, invocation: &Invocation) -> (Vec<String>, Option<ScriptFile>) {
        let with_shell = |last: String| {
            let mut words = self.draft.shell();
            words.push(last);
            words
        };
        match invocation {
            Invocation::Exec(words) => (words.clone(), None),
            Invocation::Shell(text) => (with_shell(text.clone()), None),
            Invocation::Script { name, content } => {
                let script = ScriptFile {
                    name: name.clone(),
                    content: content.clone(),
                };
                (with_shell(format!("{SCRIPT_DIR}/{name}")), Some(script))
            }
        }
    }
}
