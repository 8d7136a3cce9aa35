//! `RUN --mount=type=secret` and `type=ssh`: what the user gave on the command line, lent to a command.

use std::ffi::OsString;

use anyhow::Result;

use crate::dockerfile::Span;
use crate::sandbox::Shown;

use super::super::mount_action::{SecretMount, SshMount};
use super::super::stage::StageBuilder;
use super::RunMounts;

impl StageBuilder<'_> {
    pub(super) fn secret(
        &self,
        found: &mut RunMounts<'_>,
        secret: &SecretMount,
        span: Span,
    ) -> Result<()> {
        let id = &secret.id;
        let Some(contents) = self.workshop.secrets.get(id) else {
            if !secret.required {
                return Ok(());
            }
            let error = self.error(
                span,
                format!("the secret `{id}` is required and was not given"),
            );
            let hint = format!(
                "give it with `--secret id={id},src=FILE` or `--secret id={id},env=VARIABLE`"
            );
            return Err(error.hint(hint).into());
        };
        if let Some(name) = &secret.env {
            let name = OsString::from(name);
            found.secret_env.push((name, contents.clone()));
        }
        if let Some(target) = &secret.target {
            let shows = Shown::Secret {
                contents: contents.clone(),
                access: secret.access,
            };
            found.show(target, shows, true);
        }
        Ok(())
    }

    pub(super) fn agent(
        &self,
        found: &mut RunMounts<'_>,
        ssh: &SshMount,
        span: Span,
    ) -> Result<()> {
        let id = &ssh.id;
        let Some(agent) = self.workshop.agents.get(id) else {
            if !ssh.required {
                return Ok(());
            }
            let message = format!("the SSH agent `{id}` is required and was not given");
            let hint = format!("give it with `--ssh {id}` or `--ssh {id}=SOCKET|KEY[,KEY…]`");
            return Err(self.error(span, message).hint(hint).into());
        };
        found.agent.get_or_insert_with(|| ssh.target.clone());
        let shows = Shown::Agent {
            agent: agent.clone(),
            access: ssh.access,
        };
        found.show(&ssh.target, shows, false);
        Ok(())
    }
}
