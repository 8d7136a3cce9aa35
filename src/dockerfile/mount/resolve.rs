//! From the fields of a mount, expanded one by one, to the mount.

use super::{Field, Mount, MountError, MountRequest, Owner, Sharing, size};
use crate::dockerfile::{Expander, suggest};

/// Every key, for suggestions.
const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::Bind,
        Self::Cache,
        Self::Tmpfs,
        Self::Secret,
        Self::Ssh,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Cache => "cache",
            Self::Tmpfs => "tmpfs",
            Self::Secret => "secret",
            Self::Ssh => "ssh",
        }
    }
}

/// The fields read so far.
#[derive(Debug, Default)]
struct Draft {
    kind: Kind,
    target: String,
    from: Option<String>,
    source: Option<String>,
    id: Option<String>,
    env: Option<String>,
    sharing: Option<Sharing>,
    size: Option<u64>,
    read_only: Option<bool>,
    required: bool,
    owner: Owner,
}

impl MountRequest {
    /// Expands every value but that of `from`, and checks that they make a mount.
    ///
    /// # Errors
    /// If a key or a value is none that this type of mount knows.
    pub fn resolve(&self, expander: &mut Expander<'_>) -> Result<Mount, MountError> {
        let mut draft = Draft::default();
        for field in &self.fields {
            match &field.value {
                None => draft.switch(field)?,
                Some(value) if field.key == "from" => draft.set(field, value.clone())?,
                Some(value) => draft.set(field, expander.word(value)?)?,
            }
        }
        draft.check()?;
        draft.mount()
    }
}

impl Draft {
    /// Takes a key without a value.
    fn switch(&mut self, field: &Field) -> Result<(), MountError> {
        match field.key.as_str() {
            "readonly" | "ro" => self.read_only = Some(true),
            "readwrite" | "rw" => self.read_only = Some(false),
            "required" => {
                self.only_for("required", &[Kind::Secret, Kind::Ssh])?;
                self.required = true;
            }
            _ => return Err(MountError::ValueMissing(field.text.clone())),
        }
        Ok(())
    }

    /// Takes a key with its value.
    fn set(&mut self, field: &Field, value: String) -> Result<(), MountError> {
        let key = field.key.as_str();
        match key {
            "type" => self.kind = kind(&value)?,
            "from" => self.from = given(value),
            "source" | "src" => self.source = given(value),
            "target" | "dst" | "destination" => self.target = value,
            "readonly" | "ro" => self.read_only = Some(checked(key, value, boolean)?),
            "readwrite" | "rw" => self.read_only = Some(!checked(key, value, boolean)?),
            "required" => {
                self.only_for("required", &[Kind::Secret, Kind::Ssh])?;
                self.required = checked(key, value, boolean)?;
            }
            "size" => {
                self.only_for("size", &[Kind::Tmpfs])?;
                self.size = Some(checked(key, value, size::parse)?);
            }
            "id" => self.id = given(value),
            "sharing" => self.sharing = Some(sharing(&value)?),
            "mode" => self.owner.mode = Some(checked(key, value, |text| digits(text, 8))?),
            "uid" => self.owner.uid = Some(checked(key, value, id)?),
            "gid" => self.owner.gid = Some(checked(key, value, id)?),
            // Without meaning for what is no secret, and yet no error in BuildKit.
            "env" => self.env = Some(value),
            _ => {
                return Err(MountError::UnknownKey {
                    key: field.key.clone(),
                    field: field.text.clone(),
                    suggestion: suggest::nearest(key, &KEYS),
                });
            }
        }
        Ok(())
    }

    /// Checks a key against the type as given so far: a type behind it comes too late,
    /// as in BuildKit.
    fn only_for(&self, key: &'static str, kinds: &[Kind]) -> Result<(), MountError> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(MountError::KeyOfOtherType {
            key,
            kind: self.kind.as_str(),
        })
    }

    /// Checks what only all fields together tell.
    fn check(&self) -> Result<(), MountError> {
        if matches!(self.kind, Kind::Bind | Kind::Tmpfs) {
            let owner = [
                ("mode", self.owner.mode),
                ("uid", self.owner.uid),
                ("gid", self.owner.gid),
            ];
            if let Some((key, _)) = owner.into_iter().find(|part| part.1.is_some()) {
                let kind = self.kind.as_str();
                return Err(MountError::NotAllowed { key, kind });
            }
        }
        if self.kind == Kind::Secret && self.from.is_some() {
            return Err(MountError::SecretFrom);
        }
        if self.kind == Kind::Secret && self.sharing.is_some() {
            return Err(MountError::SecretSharing);
        }
        if self.kind != Kind::Cache && self.sharing.is_some() {
            return Err(MountError::SharingWithoutCache(self.kind.as_str()));
        }
        if self.kind == Kind::Ssh && self.source.is_some() {
            return Err(MountError::SshSource);
        }
        Ok(())
    }

    fn mount(self) -> Result<Mount, MountError> {
        Ok(match self.kind {
            Kind::Bind => Mount::Bind {
                target: self.target,
                from: self.from,
                source: self.source,
                read_only: self.read_only.unwrap_or(true),
            },
            Kind::Cache => Mount::Cache {
                target: self.target,
                id: self.id,
                sharing: self.sharing.unwrap_or(Sharing::Shared),
                from: self.from,
                source: self.source,
                read_only: self.read_only.unwrap_or(false),
                owner: self.owner,
            },
            Kind::Tmpfs => Mount::Tmpfs {
                target: self.target,
                size: self.size,
                read_only: self.read_only.unwrap_or(false),
            },
            Kind::Secret => self.secret()?,
            Kind::Ssh => Mount::Ssh {
                id: self.id.unwrap_or_else(|| "default".to_owned()),
                target: given(self.target),
                required: self.required,
                owner: self.owner,
            },
        })
    }

    fn secret(self) -> Result<Mount, MountError> {
        if self.source.is_some() && self.id.is_some() {
            return Err(MountError::SecretWithTwoNames);
        }
        let target = given(self.target);
        let from_target = || target.as_deref().map(|path| last_part(path).to_owned());
        let named = self.source.or(self.id).or_else(from_target);
        let id = named.ok_or(MountError::SecretWithoutName)?;
        Ok(Mount::Secret {
            // A bare `env=` means a variable of the secret's own name.
            env: self
                .env
                .map(|name| given(name).unwrap_or_else(|| id.clone())),
            id,
            target,
            required: self.required,
            owner: self.owner,
        })
    }
}

/// Reads a truth value as Go's `strconv.ParseBool` does.
pub(in crate::dockerfile) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

fn kind(value: &str) -> Result<Kind, MountError> {
    let name = value.to_lowercase();
    let known = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
    known.ok_or_else(|| MountError::UnknownType {
        value: value.to_owned(),
        suggestion: suggest::nearest(value, &Kind::ALL.map(Kind::as_str)),
    })
}

fn sharing(value: &str) -> Result<Sharing, MountError> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(MountError::UnknownSharing {
            value: value.to_owned(),
            suggestion: suggest::nearest(value, &["locked", "private", "shared"]),
        }),
    }
}

fn checked<T>(key: &str, value: String, read: impl Fn(&str) -> Option<T>) -> Result<T, MountError> {
    read(&value).ok_or_else(|| MountError::InvalidValue {
        key: key.to_owned(),
        value,
    })
}

/// Reads an unsigned number of 32 bits; digits only, no sign.
fn digits(text: &str, radix: u32) -> Option<u32> {
    if text.starts_with('+') {
        return None;
    }
    u32::from_str_radix(text, radix).ok()
}

/// Reads the id of a user or a group. The highest number is none: the kernel takes it for "as it is" (chown(2)).
fn id(text: &str) -> Option<u32> {
    digits(text, 10).filter(|id| *id < u32::MAX)
}

/// An empty value is the same as none.
fn given(value: String) -> Option<String> {
    Some(value).filter(|value| !value.is_empty())
}

/// The last component of a path, as Go's `path.Base`; `/` for the root.
fn last_part(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    match path.rsplit_once('/') {
        Some((_, last)) => last,
        None if path.is_empty() => "/",
        None => path,
    }
}
