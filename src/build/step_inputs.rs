//! What the key of a step is taken over: an action, in the words of the cache.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::cache::CacheKey;
use crate::cache::inputs::{
    AddInputs, CopyInputs, MountInputs, RunInputs, SourceInputs, StepInputs, WorkdirInputs,
};
use crate::dockerfile::{NetworkMode, Sharing};
use crate::sandbox::Access;

use super::action::{Action, RunAction, Transfer, Work};
use super::mount_action::{BindMount, CacheMount, MountAction, SecretMount, SshMount};

/// What is said of the files that a step takes from the context, from a stage or from an image: how they come to be, or
/// what they are.
pub(super) trait Sources {
    /// The files of a COPY or ADD, but for texts in the Dockerfile.
    fn of_transfer(&self, transfer: &Transfer) -> Result<Vec<SourceInputs>>;
    /// The files that a mount shows.
    fn of_bind(&self, bind: &BindMount) -> Result<SourceInputs>;
}

impl Work {
    /// Returns what the step depends on, executed on the files of `parent`.
    pub(super) fn inputs(&self, parent: CacheKey, sources: &dyn Sources) -> Result<StepInputs> {
        Ok(match &self.action {
            Action::Run(run) => StepInputs::Run(self.run_inputs(run, parent, sources)?),
            Action::Transfer(transfer) => {
                let copy = copy_inputs(transfer, parent, sources.of_transfer(transfer)?);
                match transfer.keyword {
                    "ADD" => StepInputs::Add(AddInputs {
                        copy,
                        unpacks: transfer.unpacks,
                    }),
                    _ => StepInputs::Copy(copy),
                }
            }
            Action::Workdir => StepInputs::Workdir(WorkdirInputs {
                parent,
                path: self.working_dir.clone(),
                user: self.user.clone(),
            }),
        })
    }

    fn run_inputs(
        &self,
        run: &RunAction,
        parent: CacheKey,
        sources: &dyn Sources,
    ) -> Result<RunInputs> {
        let script = run.script.as_ref();
        let script = script.map(|script| String::from_utf8_lossy(&script.contents).into_owned());
        let mut options = BTreeMap::new();
        // The default is the builder's network, as with `host`.
        if run.network == NetworkMode::None {
            options.insert("network".to_owned(), "none".to_owned());
        }
        if let Some(hostname) = &run.hostname {
            options.insert("hostname".to_owned(), hostname.clone());
        }
        let mounts = run.mounts.iter().map(|mount| mount_inputs(mount, sources));
        Ok(RunInputs {
            parent,
            argv: run.argv.clone(),
            script: script.unwrap_or_default(),
            environment: run.environment.iter().cloned().collect(),
            working_dir: self.working_dir.clone(),
            user: self.user.clone(),
            options,
            mounts: mounts.collect::<Result<_>>()?,
        })
    }
}

/// Returns what counts of a mount: all that was asked for, the files of a bind mount, and those that a cache starts with;
/// neither the value of a secret, nor what is in a cache by now.
fn mount_inputs(mount: &MountAction, sources: &dyn Sources) -> Result<MountInputs> {
    Ok(match mount {
        MountAction::Bind(bind) => MountInputs {
            files: Some(sources.of_bind(bind)?),
            ..options("bind", bind_options(bind))
        },
        MountAction::Cache(cache) => MountInputs {
            files: start_inputs(cache, sources)?,
            ..options("cache", cache_options(cache))
        },
        MountAction::Tmpfs {
            target,
            size,
            read_only,
        } => {
            let size = size.map(|size| ("size", size.to_string()));
            let fixed = [
                ("target", target.clone()),
                ("read-only", read_only.to_string()),
            ];
            options("tmpfs", fixed.into_iter().chain(size))
        }
        MountAction::Secret(secret) => options("secret", secret_options(secret)),
        MountAction::Ssh(ssh) => options("ssh", ssh_options(ssh)),
    })
}

fn options(kind: &str, options: impl IntoIterator<Item = (&'static str, String)>) -> MountInputs {
    let named = options.into_iter();
    MountInputs {
        kind: kind.to_owned(),
        options: named.map(|(name, text)| (name.to_owned(), text)).collect(),
        files: None,
    }
}

fn bind_options(bind: &BindMount) -> Vec<(&'static str, String)> {
    vec![
        ("target", bind.target.clone()),
        ("read-only", bind.read_only.to_string()),
    ]
}

fn cache_options(cache: &CacheMount) -> Vec<(&'static str, String)> {
    let sharing = match cache.sharing {
        Sharing::Shared => "shared",
        Sharing::Private => "private",
        Sharing::Locked => "locked",
    };
    let mut options = vec![
        ("target", cache.target.clone()),
        ("id", cache.id.clone()),
        ("sharing", sharing.to_owned()),
        ("read-only", cache.read_only.to_string()),
        ("access", access_text(cache.access)),
    ];
    if let Some(start) = &cache.start {
        options.push(("from", start.from_name.clone()));
        options.push(("source", start.source.clone()));
    }
    if !cache.part.is_empty() {
        options.push(("source", cache.part.clone()));
    }
    options
}

/// Returns the files that a new cache starts with. They are seen as a bind mount would show them.
fn start_inputs(cache: &CacheMount, sources: &dyn Sources) -> Result<Option<SourceInputs>> {
    let Some(start) = &cache.start else {
        return Ok(None);
    };
    let shown = BindMount {
        target: cache.target.clone(),
        from: start.from.clone(),
        source: start.source.clone(),
        read_only: true,
    };
    sources.of_bind(&shown).map(Some)
}

fn secret_options(secret: &SecretMount) -> Vec<(&'static str, String)> {
    let target = secret
        .target
        .iter()
        .map(|target| ("target", target.clone()));
    let env = secret.env.iter().map(|env| ("env", env.clone()));
    let fixed = [
        ("id", secret.id.clone()),
        ("required", secret.required.to_string()),
        ("access", access_text(secret.access)),
    ];
    fixed.into_iter().chain(target).chain(env).collect()
}

fn ssh_options(ssh: &SshMount) -> Vec<(&'static str, String)> {
    vec![
        ("id", ssh.id.clone()),
        ("target", ssh.target.clone()),
        ("required", ssh.required.to_string()),
        ("access", access_text(ssh.access)),
    ]
}

fn access_text(access: Access) -> String {
    let Access { uid, gid, mode } = access;
    format!("{uid}:{gid} {mode:o}")
}

fn copy_inputs(
    transfer: &Transfer,
    parent: CacheKey,
    mut sources: Vec<SourceInputs>,
) -> CopyInputs {
    let inline = transfer.sources.files.iter();
    sources.extend(inline.map(|file| SourceInputs::Inline {
        name: file.name.clone(),
        text: file.content.clone(),
    }));
    CopyInputs {
        parent,
        sources,
        destination: transfer.destination.clone(),
        chown: transfer.chown.clone(),
        chmod: transfer.chmod.clone(),
        options: copy_options(transfer),
    }
}

fn copy_options(transfer: &Transfer) -> BTreeMap<String, String> {
    let flags = [
        ("link", transfer.is_linked),
        ("parents", transfer.keeps_parents),
        (
            "unpack from the network",
            transfer.unpacks_remotes && !transfer.remotes.is_empty(),
        ),
    ];
    let given = flags.into_iter().filter(|(_, is_given)| *is_given);
    let mut options: BTreeMap<String, String> = given
        .map(|(name, _)| (name.to_owned(), "true".to_owned()))
        .collect();
    // The other sources count without what is excluded; of these nobody has the files yet.
    if !transfer.remotes.is_empty() {
        let patterns = transfer.exclude.iter().enumerate();
        options.extend(patterns.map(|(at, pattern)| (format!("exclude {at}"), pattern.clone())));
    }
    options
}
