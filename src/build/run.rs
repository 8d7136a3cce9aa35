//! RUN: a command in the stage's files.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::dockerfile::{NetworkMode, Span};
use crate::fs::{Root, create_dir_all};
use crate::sandbox::{Command, Exit, Network, ResolvedUser, Stream, resolve_user};

use super::action::{RunAction, Work};
use super::layers::StageLayer;
use super::mounts::RunMounts;
use super::stage::StageBuilder;
use super::{Event, LocatedError, OutputStream};

/// Mode of a working directory that is missing.
const CWD_MODE: u32 = 0o755;

impl StageBuilder<'_> {
    /// Executes a RUN.
    pub(super) fn run(&mut self, run: &RunAction, work: &Work, span: Span) -> Result<StageLayer> {
        let mut written = Vec::new();
        let layer = self.in_step(span, |builder, step| {
            let root = step.root()?;
            let user = builder.user(root, &work.user, span)?;
            // A base may name a working directory that it does not have: runtimes create it.
            create_dir_all(root, Path::new(&work.working_dir), CWD_MODE, (0, 0))?;
            let mounts = builder.mounts(run, span)?;
            let command = builder.command(run, work, user, &mounts);
            let mut report = |stream, bytes: &[u8]| {
                builder.workshop.report(Event::Output {
                    step: builder.name,
                    stream: match stream {
                        Stream::Stdout => OutputStream::Stdout,
                        Stream::Stderr => OutputStream::Stderr,
                    },
                    bytes,
                });
            };
            match step.run(&command, builder.workshop.halt.of_commands(), &mut report) {
                Ok(ended) if ended.exit == Exit::Code(0) => {
                    written = ended.written;
                    Ok(())
                }
                Ok(ended) => Err(builder.failed(span, ended.exit).into()),
                Err(error) => Err(builder
                    .error(span, "cannot run the command")
                    .because(error)
                    .into()),
            }
        })?;
        self.warn_of_lost_writes(&written, span);
        Ok(layer)
    }

    /// Tells of read-only mounts that a command wrote to. Elsewhere it might have failed, so nobody else is given its layer.
    fn warn_of_lost_writes(&mut self, targets: &[PathBuf], span: Span) {
        let mode = self.workshop.sandbox().mode().name();
        for target in targets {
            let target = target.display();
            let warning = format!(
                "the command wrote to `{target}`, which is mounted read-only: isolation `{mode}` cannot refuse that; what \
                 it wrote is lost, and the step is not cached"
            );
            self.warn(span, &[warning]);
            self.is_doubtful = true;
        }
    }

    /// Returns the user that the command runs as.
    fn user(&self, root: &Root, text: &str, span: Span) -> Result<ResolvedUser, LocatedError> {
        resolve_user(root, text).map_err(|error| {
            self.error(span, format!("cannot run as the user `{text}`"))
                .because(error)
        })
    }

    fn command(
        &self,
        run: &RunAction,
        work: &Work,
        user: ResolvedUser,
        mounts: &RunMounts<'_>,
    ) -> Command {
        let home = user.home.to_string_lossy().into_owned();
        let global = &self.workshop.global;
        let mut environment = global.run_environment(&run.environment, &home);
        mounts.add_agent_to(&mut environment);
        let hostname = run.hostname.clone();
        let to_os = |(name, value): (String, String)| (OsString::from(name), OsString::from(value));
        Command {
            argv: run.argv.iter().map(OsString::from).collect(),
            env: environment.into_iter().map(to_os).collect(),
            secret_env: mounts.secret_env.clone(),
            cwd: Path::new("/").join(&work.working_dir),
            user,
            hostname: hostname.unwrap_or_else(|| Command::DEFAULT_HOSTNAME.to_owned()),
            files: run.script.iter().cloned().collect(),
            mounts: mounts.mounts.clone(),
            network: network(run.network),
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
}

/// `default` is the network that the builder has, as under kaniko and buildah's chroot isolation.
fn network(mode: NetworkMode) -> Network {
    match mode {
        NetworkMode::Default | NetworkMode::Host => Network::Host,
        NetworkMode::None => Network::None,
    }
}
