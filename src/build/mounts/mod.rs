//! The mounts of one RUN: what it asks for, found and taken into use.
//!
//! This module knows where things come from. How a step is shown them is the sandbox's.

mod caches;
mod files;
mod lent_secrets;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;

use crate::dockerfile::Span;
use crate::sandbox::{Secret, Shown, StepMount};

use super::action::RunAction;
use super::cache_dirs::CacheUse;
use super::files::StageView;
use super::mount_action::MountAction;
use super::stage::StageBuilder;

/// The variable that tells programs where an agent is.
const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

/// What a RUN sees besides its files, as long as this value lives.
#[derive(Default)]
pub(super) struct RunMounts<'a> {
    /// In the order of the Dockerfile.
    pub(super) mounts: Vec<StepMount>,
    /// Variables that hold secrets.
    pub(super) secret_env: Vec<(OsString, Secret)>,
    /// Where the first agent is.
    agent: Option<String>,
    /// By their names.
    caches: BTreeMap<String, CacheUse<'a>>,
    /// Files that are shown.
    views: Vec<StageView>,
}

impl StageBuilder<'_> {
    /// Finds what a RUN asks for. Waits for caches that others use.
    pub(super) fn mounts(&self, run: &RunAction, span: Span) -> Result<RunMounts<'_>> {
        let mut found = RunMounts::default();
        self.take_caches(&mut found, run, span)?;
        for mount in &run.mounts {
            match mount {
                MountAction::Bind(bind) => self.bind(&mut found, bind, span)?,
                MountAction::Cache(cache) => self.show_cache(&mut found, cache, span)?,
                MountAction::Tmpfs {
                    target,
                    size,
                    read_only,
                } => {
                    let shows = Shown::Memory { size: *size };
                    found.show(target, shows, *read_only);
                }
                MountAction::Secret(secret) => self.secret(&mut found, secret, span)?,
                MountAction::Ssh(ssh) => self.agent(&mut found, ssh, span)?,
            }
        }
        Ok(found)
    }
}

impl RunMounts<'_> {
    fn show(&mut self, target: &str, shows: Shown, is_read_only: bool) {
        self.mounts.push(StepMount {
            target: PathBuf::from(target),
            shows,
            is_read_only,
        });
    }

    /// Tells programs where the agent is, unless the image says it itself.
    pub(super) fn add_agent_to(&self, environment: &mut Vec<(String, String)>) {
        if let Some(agent) = &self.agent
            && environment.iter().all(|(name, _)| name != AGENT_VARIABLE)
        {
            environment.push((AGENT_VARIABLE.to_owned(), agent.clone()));
        }
    }
}
