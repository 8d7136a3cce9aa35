//! `executor login` and `executor logout`: docker's configuration file, or the helper that it names.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::http::Password;
use crate::registry::credentials::{
    Login, StoredConfig, config_key, erase_with_helper, store_with_helper,
};
use crate::registry::{Keychain, Purpose, Registries, RegistryOptions, Source};

use super::executor::print_line;
use super::flags::{ExecutorFlags, LoginFlags, LogoutFlags};
use super::progress::{Level, LogStyle};
use super::registry_options::registry_options;
use super::{credential_files, environment};

/// The longest password is a token of a few KiB; a service account's key is one too.
const MAX_PASSWORD_BYTES: u64 = 1024 * 1024;

/// Asks the registry, and keeps the login.
pub(super) fn log_in(flags: &LoginFlags, style: LogStyle) -> Result<()> {
    let key = config_key(&flags.registry)?;
    let password = password(flags, style)?;
    // What cannot be written is said before a registry is asked.
    ConfigFile::open()?;
    runtime()?.block_on(async {
        if !flags.skip_verify {
            verify(flags, &password).await?;
        }
        let mut file = ConfigFile::open()?;
        let kept = match file.config.helper(&key)? {
            Some(program) => {
                store_with_helper(&program, &key, &flags.username, &password).await?;
                program
            }
            None => {
                file.config.insert(&key, &flags.username, &password)?;
                file.write()?;
                file.path.display().to_string()
            }
        };
        print_line(&format!("the login of `{key}` is kept in `{kept}`"))
    })
}

/// Forgets a login. That there is none is no error.
pub(super) fn log_out(flags: &LogoutFlags) -> Result<()> {
    let key = config_key(&flags.registry)?;
    let mut file = ConfigFile::open()?;
    // Whatever becomes of the helper, the file is not to hold what was forgotten.
    let erased = match file.config.helper(&key)? {
        Some(program) => runtime()?.block_on(erase_with_helper(&program, &key)),
        None => Ok(()),
    };
    let shown = file.path.display().to_string();
    if !file.config.remove(&key)? {
        erased?;
        return print_line(&format!("there is no login of `{key}` in `{shown}`"));
    }
    file.write()?;
    erased?;
    print_line(&format!("the login of `{key}` is removed from `{shown}`"))
}

fn password(flags: &LoginFlags, style: LogStyle) -> Result<Password> {
    match &flags.password {
        Some(text) => {
            let warning = "warning: --password is shown in lists of processes and in traces of shells: use --password-stdin";
            style.print(Level::Warning, warning);
            Ok(Password::new(text))
        }
        None if flags.password_stdin => {
            let text = environment::standard_input(MAX_PASSWORD_BYTES)
                .context("cannot read the password from standard input")?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            if text.is_empty() {
                bail!("the password on standard input is empty");
            }
            Ok(Password::new(text))
        }
        None => bail!("there is no password: give --password-stdin or --password"),
    }
}

/// Has the registry look at the login, and at nothing else that this machine has.
async fn verify(flags: &LoginFlags, password: &Password) -> Result<()> {
    let mut build = ExecutorFlags::try_parse_from(["executor", "--credential-helpers="])?;
    let registry = &mut build.registry;
    registry.insecure = flags.insecure;
    registry.skip_tls_verify = flags.skip_tls_verify;
    let pull = &mut registry.pull;
    pull.registry_certificate
        .clone_from(&flags.registry_certificate);
    pull.registry_client_cert
        .clone_from(&flags.registry_client_cert);
    let options = registry_options(registry, &environment::current_dir()?)?;
    let host = host_of(&flags.registry);
    let login = Login::new(host, &flags.username, password.expose());
    let options = RegistryOptions {
        keychain: Keychain::of(vec![Source::Logins {
            name: "login",
            logins: vec![login],
        }]),
        ..options
    };
    let registries = Registries::new(options);
    registries
        .registry(host, Purpose::Push)?
        .check_login()
        .await
        .with_context(|| format!("cannot log in to `{host}`"))
}

/// The host of what `config_key` has found to be a registry.
fn host_of(registry: &str) -> &str {
    let rest = registry
        .split_once("://")
        .map_or(registry, |(_, rest)| rest);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("cannot start the program's runtime")
}

/// Docker's configuration file, which may not be there yet.
struct ConfigFile {
    path: PathBuf,
    config: StoredConfig,
}

impl ConfigFile {
    fn open() -> Result<Self> {
        let path = credential_files::login_file()
            .context("there is no place for a login: neither DOCKER_CONFIG nor HOME is set")?;
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
            }
        };
        let config = StoredConfig::parse(&text)
            .with_context(|| format!("cannot change `{}`", path.display()))?;
        Ok(Self { path, config })
    }

    /// Replaces the file whole, readable for its owner only. A link stays one: what it leads to is replaced.
    fn write(&self) -> Result<()> {
        let target = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        self.replace(&target).with_context(|| {
            format!(
                "cannot write `{}`: is it a secret that is mounted for reading? DOCKER_CONFIG names another directory",
                self.path.display()
            )
        })
    }

    fn replace(&self, target: &Path) -> Result<()> {
        let directory = target.parent().context("it has no directory")?;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        // A temporary file is made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(self.config.text().as_bytes())?;
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.as_file().sync_all()?;
        file.persist(target)?;
        Ok(())
    }
}
