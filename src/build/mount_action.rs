//! What a RUN asks to see besides its files: `--mount`, with every default filled in.
//!
//! Nothing here touches a file.

use std::path::Path;

use crate::context::select::clean;
use crate::dockerfile::{Mount, Owner, Sharing};
use crate::sandbox::Access;

use super::plan::FileSource;

/// A mount of a RUN. Targets are absolute paths inside the root, and never `/`.
#[derive(PartialEq)]
pub(super) enum MountAction {
    Bind(BindMount),
    Cache(CacheMount),
    Tmpfs {
        target: String,
        /// Its limit in bytes; `None` is the kernel's.
        size: Option<u64>,
        read_only: bool,
    },
    Secret(SecretMount),
    Ssh(SshMount),
}

/// Files of the context, a stage or an image.
#[derive(PartialEq)]
pub(super) struct BindMount {
    pub(super) target: String,
    pub(super) from: FileSource,
    /// The path in there; links are followed. Empty for all of it.
    pub(super) source: String,
    /// Otherwise what is written is thrown away.
    pub(super) read_only: bool,
}

/// A directory that RUNs of this build share.
#[derive(PartialEq)]
pub(super) struct CacheMount {
    pub(super) target: String,
    /// What it is kept under, as the Dockerfile says it.
    pub(super) id: String,
    pub(super) sharing: Sharing,
    /// What a new one starts with.
    pub(super) start: Option<CacheStart>,
    /// The part of it that is shown, if it starts with nothing; links are followed. Empty for all of it.
    pub(super) part: String,
    pub(super) read_only: bool,
    /// Whose a new one is.
    pub(super) access: Access,
}

/// What a new cache starts with.
#[derive(PartialEq)]
pub(super) struct CacheStart {
    pub(super) from: FileSource,
    /// As the Dockerfile names it.
    pub(super) from_name: String,
    /// The path in there; links are followed. Empty for all of it.
    pub(super) source: String,
}

/// A secret, as a file, a variable, or both.
#[derive(PartialEq)]
pub(super) struct SecretMount {
    pub(super) id: String,
    /// Where the file is; `None` for none.
    pub(super) target: Option<String>,
    /// The variable's name.
    pub(super) env: Option<String>,
    pub(super) required: bool,
    pub(super) access: Access,
}

/// The socket of an SSH agent.
#[derive(PartialEq)]
pub(super) struct SshMount {
    pub(super) id: String,
    pub(super) target: String,
    pub(super) required: bool,
    pub(super) access: Access,
}

/// Mode of a cache's directory (Dockerfile reference, "RUN --mount=type=cache").
const CACHE_MODE: u32 = 0o755;
/// Mode of a secret's file (Dockerfile reference, "RUN --mount=type=secret").
const SECRET_MODE: u32 = 0o400;
/// Mode of an agent's socket (Dockerfile reference, "RUN --mount=type=ssh").
const SSH_MODE: u32 = 0o600;

/// A mount that covers the root directory.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid mount target `{0}`: it is the root directory")]
pub(super) struct RootTarget(String);

/// Where mounts are in their RUN.
pub(super) struct MountPlaces<'a> {
    /// What relative targets start from.
    pub(super) working_dir: &'a str,
    /// Agents before this one in the same RUN: part of the default target.
    pub(super) agents: usize,
    /// What ids of caches are below.
    pub(super) cache_namespace: Option<&'a str>,
}

impl MountAction {
    /// Returns what the mount takes files from: those that it shows, or that it starts with.
    pub(super) fn source(&self) -> Option<&FileSource> {
        match self {
            Self::Bind(bind) => Some(&bind.from),
            Self::Cache(cache) => Some(&cache.start.as_ref()?.from),
            Self::Tmpfs { .. } | Self::Secret(_) | Self::Ssh(_) => None,
        }
    }

    /// As [`Self::source`], to be changed.
    pub(super) fn source_mut(&mut self) -> Option<&mut FileSource> {
        match self {
            Self::Bind(bind) => Some(&mut bind.from),
            Self::Cache(cache) => Some(&mut cache.start.as_mut()?.from),
            Self::Tmpfs { .. } | Self::Secret(_) | Self::Ssh(_) => None,
        }
    }

    /// Returns the mount if it is a cache.
    pub(super) fn cache(&self) -> Option<&CacheMount> {
        match self {
            Self::Cache(cache) => Some(cache),
            Self::Bind(_) | Self::Tmpfs { .. } | Self::Secret(_) | Self::Ssh(_) => None,
        }
    }

    /// Fills in what a mount leaves out. `from` is what its `from` was found to be.
    pub(super) fn new(
        mount: Mount,
        from: &FileSource,
        places: &MountPlaces<'_>,
    ) -> Result<Self, RootTarget> {
        Ok(match mount {
            Mount::Bind {
                target,
                from: _,
                source,
                read_only,
            } => Self::Bind(BindMount {
                target: places.absolute(&target)?,
                from: from.clone(),
                source: source.unwrap_or_default(),
                read_only,
            }),
            Mount::Cache {
                target,
                id,
                sharing,
                from: from_name,
                source,
                read_only,
                owner,
            } => Self::Cache(CacheMount {
                id: places.cache_id(id.unwrap_or_else(|| default_id(&target))),
                target: places.absolute(&target)?,
                sharing,
                part: match from_name {
                    None => source.clone().unwrap_or_default(),
                    Some(_) => String::new(),
                },
                start: from_name.map(|from_name| CacheStart {
                    from: from.clone(),
                    from_name,
                    source: source.unwrap_or_default(),
                }),
                read_only,
                access: access(owner, CACHE_MODE),
            }),
            Mount::Tmpfs {
                target,
                size,
                read_only,
            } => Self::Tmpfs {
                target: places.absolute(&target)?,
                size: size.filter(|size| *size > 0),
                read_only,
            },
            Mount::Secret {
                id,
                target,
                env,
                required,
                owner,
            } => {
                let default = || format!("/run/secrets/{}", last_part(&id));
                let target = target.or_else(|| env.is_none().then(default));
                let target = target.map(|target| places.absolute(&target));
                Self::Secret(SecretMount {
                    target: target.transpose()?,
                    id,
                    env,
                    required,
                    access: access(owner, SECRET_MODE),
                })
            }
            Mount::Ssh {
                id,
                target,
                required,
                owner,
            } => {
                let default = || format!("/run/buildkit/ssh_agent.{}", places.agents);
                Self::Ssh(SshMount {
                    id,
                    target: places.absolute(&target.unwrap_or_else(default))?,
                    required,
                    access: access(owner, SSH_MODE),
                })
            }
        })
    }
}

impl MountPlaces<'_> {
    /// As BuildKit: a path below the namespace.
    fn cache_id(&self, id: String) -> String {
        match self.cache_namespace {
            None => id,
            Some(namespace) => {
                let below = clean(Path::new(&id));
                format!("{namespace}/{}", below.display())
            }
        }
    }

    fn absolute(&self, target: &str) -> Result<String, RootTarget> {
        let path = clean(&Path::new(self.working_dir).join(target));
        if path.as_os_str().is_empty() || path == Path::new(".") {
            return Err(RootTarget(target.to_owned()));
        }
        let path = Path::new("/").join(path);
        Ok(path.to_string_lossy().into_owned())
    }
}

impl CacheMount {
    /// Returns what tells its directory from others: as in BuildKit, one with another owner or another start is another
    /// cache. An image that it starts with is another one when its tag is.
    pub(super) fn name(&self) -> String {
        let mut name = self.id.clone();
        let Access { uid, gid, mode } = self.access;
        if (uid, gid, mode) != (0, 0, CACHE_MODE) {
            name += &format!(" uid={uid} gid={gid} mode={mode:o}");
        }
        if let Some(start) = &self.start {
            let digest = match &start.from {
                FileSource::Image(image) => image.digest.as_ref(),
                FileSource::Context | FileSource::Stage(_) | FileSource::Directory(_) => None,
            };
            let at = digest.map(|digest| format!("@{digest}"));
            let (from, at) = (&start.from_name, at.unwrap_or_default());
            name += &format!(" from={from}{at} source={}", start.source);
        }
        name
    }
}

/// As BuildKit: the target as it was written, cleaned, and not below the working directory.
fn default_id(target: &str) -> String {
    let path = clean(Path::new(target));
    let path = match target.starts_with('/') {
        true => Path::new("/").join(path),
        false => path,
    };
    path.to_string_lossy().into_owned()
}

fn access(owner: Owner, default_mode: u32) -> Access {
    Access {
        uid: owner.uid.unwrap_or(0),
        gid: owner.gid.unwrap_or(0),
        mode: owner.mode.unwrap_or(default_mode) & 0o7777,
    }
}

fn last_part(id: &str) -> &str {
    let id = id.trim_end_matches('/');
    id.rsplit_once('/').map_or(id, |(_, last)| last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(mount: Mount) -> Result<MountAction, RootTarget> {
        let places = MountPlaces {
            working_dir: "/app",
            agents: 1,
            cache_namespace: None,
        };
        MountAction::new(mount, &FileSource::Context, &places)
    }

    fn cache(target: &str, owner: Owner) -> CacheMount {
        let mount = Mount::Cache {
            target: target.to_owned(),
            id: None,
            sharing: Sharing::Shared,
            from: None,
            source: None,
            read_only: false,
            owner,
        };
        match action(mount).unwrap() {
            MountAction::Cache(cache) => cache,
            _ => panic!("a cache stays one"),
        }
    }

    #[test]
    fn a_relative_target_is_below_the_working_directory_and_an_id_is_not() {
        let found = cache("modules/../node//modules", Owner::default());
        assert_eq!(found.target, "/app/node/modules");
        assert_eq!(found.id, "node/modules");
        let found = cache("/root/./.cache/", Owner::default());
        assert_eq!(
            (&*found.target, &*found.id),
            ("/root/.cache", "/root/.cache")
        );
    }

    #[test]
    fn a_cache_is_below_its_namespace() {
        let places = MountPlaces {
            working_dir: "/",
            agents: 0,
            cache_namespace: Some("team"),
        };
        for (id, expected) in [("go", "team/go"), ("/root/./go", "team/root/go")] {
            assert_eq!(places.cache_id(id.to_owned()), expected);
        }
    }

    #[test]
    fn a_cache_of_another_owner_is_another_one() {
        let plain = cache("/c", Owner::default());
        assert_eq!(plain.name(), "/c");
        let of_a_user = Owner {
            uid: Some(1000),
            ..Owner::default()
        };
        assert_ne!(plain.name(), cache("/c", of_a_user).name());
    }

    #[test]
    fn the_root_directory_cannot_be_mounted_on() {
        let bind = |target: &str| Mount::Bind {
            target: target.to_owned(),
            from: None,
            source: None,
            read_only: true,
        };
        assert!(action(bind("/")).is_err());
        assert!(action(bind("..")).is_err());
        assert!(action(bind("")).is_ok());
    }

    #[test]
    fn a_secret_is_a_file_unless_it_is_a_variable() {
        let secret = |target: Option<&str>, env: Option<&str>| {
            let mount = Mount::Secret {
                id: "a/token".to_owned(),
                target: target.map(str::to_owned),
                env: env.map(str::to_owned),
                required: false,
                owner: Owner::default(),
            };
            match action(mount).unwrap() {
                MountAction::Secret(secret) => secret,
                _ => panic!("a secret stays one"),
            }
        };
        assert_eq!(
            secret(None, None).target.as_deref(),
            Some("/run/secrets/token")
        );
        assert_eq!(secret(None, Some("T")).target, None);
        assert_eq!(
            secret(Some("t"), Some("T")).target.as_deref(),
            Some("/app/t")
        );
        assert_eq!(secret(None, None).access.mode, 0o400);
    }

    #[test]
    fn agents_are_numbered() {
        let mount = Mount::Ssh {
            id: "default".to_owned(),
            target: None,
            required: false,
            owner: Owner::default(),
        };
        let MountAction::Ssh(ssh) = action(mount).unwrap() else {
            panic!("an agent stays one");
        };
        assert_eq!(ssh.target, "/run/buildkit/ssh_agent.1");
    }
}
