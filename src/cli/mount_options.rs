//! `--secret` and `--ssh`: what a `RUN --mount` may ask for, read before anything is built.
//!
//! Contents are held in memory: later the files may be out of reach, and variables of the environment gone.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use crate::dockerfile::csv_fields;
use crate::sandbox::{Agent, Secret};

use super::environment::{self, absolute};

/// A larger file is no secret (BuildKit, session/secrets: `MaxSecretSize`).
const SECRET_BYTES_MAX: u64 = 500 * 1024;

/// Reads each `--secret`. A variable that is not set is a secret that was not given.
pub(super) fn secrets(
    arguments: &[String],
    current_dir: &Path,
) -> Result<BTreeMap<String, Secret>> {
    let mut secrets = BTreeMap::new();
    let mut ids = Vec::new();
    for argument in arguments {
        let request = SecretRequest::parse(argument, |name| {
            environment::secret_variable(name).is_some()
        });
        let request = request.with_context(|| format!("cannot use `--secret {argument}`"))?;
        ensure!(
            !ids.contains(&request.id),
            "the secret `{}` is given twice with --secret",
            request.id
        );
        let contents = match &request.source {
            SecretSource::Variable(name) => environment::secret_variable(name),
            SecretSource::File(path) => {
                let read = read_secret(&absolute(path, current_dir));
                Some(read.with_context(|| format!("cannot read the secret `{}`", request.id))?)
            }
        };
        ids.push(request.id.clone());
        secrets.extend(contents.map(|contents| (request.id, Secret::new(contents))));
    }
    Ok(secrets)
}

/// Opens each agent of `--ssh`.
pub(super) fn agents(
    arguments: &[String],
    current_dir: &Path,
) -> Result<BTreeMap<String, Arc<Agent>>> {
    let mut agents = BTreeMap::new();
    for argument in arguments {
        let (id, paths) = agent_request(argument)?;
        let paths = if paths.is_empty() {
            let socket = environment::path_variable("SSH_AUTH_SOCK").with_context(|| {
                format!("--ssh {argument} means the agent of SSH_AUTH_SOCK, which is not set")
            })?;
            vec![socket]
        } else {
            paths
                .iter()
                .map(|path| absolute(path, current_dir))
                .collect()
        };
        let agent = Agent::open(&paths)
            .with_context(|| format!("cannot use the agent of --ssh {argument}"))?;
        if agents.insert(id.clone(), Arc::new(agent)).is_some() {
            bail!("the agent `{id}` is given twice with --ssh");
        }
    }
    Ok(agents)
}

/// One `--secret`, as it was asked for.
#[derive(Debug, PartialEq, Eq)]
struct SecretRequest {
    id: String,
    source: SecretSource,
}

#[derive(Debug, PartialEq, Eq)]
enum SecretSource {
    Variable(String),
    File(PathBuf),
}

impl SecretRequest {
    /// Reads `id=…[,src=…][,env=…][,type=file|env]`. Where nothing says what it is, it is the variable called as the
    /// secret if there is one, else the file.
    fn parse(argument: &str, has_variable: impl Fn(&str) -> bool) -> Result<Self> {
        let mut found: BTreeMap<&str, String> = BTreeMap::new();
        for field in csv_fields(argument)? {
            let Some((key, value)) = field.split_once('=') else {
                bail!("`{field}` is not of the form KEY=VALUE");
            };
            let key = match key.to_lowercase().as_str() {
                "id" => "id",
                "src" | "source" => "src",
                "env" => "env",
                "type" => "type",
                _ => bail!("unknown key `{key}`: expected id, src, env or type"),
            };
            found.insert(key, value.to_owned());
        }
        let mut take = |key| found.remove(key).filter(|value: &String| !value.is_empty());
        let id = take("id").context("it has no id")?;
        let (kind, src, env) = (take("type"), take("src"), take("env"));
        let source = match (kind.as_deref(), src, env) {
            (Some("env"), src, env) => {
                SecretSource::Variable(env.or(src).unwrap_or_else(|| id.clone()))
            }
            (Some("file"), src, _) => {
                SecretSource::File(PathBuf::from(src.unwrap_or_else(|| id.clone())))
            }
            (Some(other), ..) => bail!("unknown type `{other}`: expected file or env"),
            (None, _, Some(env)) => SecretSource::Variable(env),
            (None, Some(src), None) => SecretSource::File(PathBuf::from(src)),
            (None, None, None) if has_variable(&id) => SecretSource::Variable(id.clone()),
            (None, None, None) => SecretSource::File(PathBuf::from(&id)),
        };
        Ok(Self { id, source })
    }
}

fn read_secret(path: &Path) -> Result<Vec<u8>> {
    let failed = || format!("cannot read `{}`", path.display());
    let file = std::fs::File::open(path).with_context(failed)?;
    let mut contents = Vec::new();
    let mut file = file.take(SECRET_BYTES_MAX + 1);
    file.read_to_end(&mut contents).with_context(failed)?;
    ensure!(
        contents.len() as u64 <= SECRET_BYTES_MAX,
        "`{}` is larger than 500 KiB",
        path.display()
    );
    Ok(contents)
}

/// Reads `ID[=SOCKET|KEY[,KEY…]]`: the id, and the paths, none for the user's agent.
fn agent_request(argument: &str) -> Result<(String, Vec<PathBuf>)> {
    let (id, paths) = argument.split_once('=').unwrap_or((argument, ""));
    ensure!(
        !id.is_empty(),
        "--ssh is `{argument}`, expected ID, ID=SOCKET or ID=KEY[,KEY…]"
    );
    if paths.is_empty() {
        return Ok((id.to_owned(), Vec::new()));
    }
    let paths: Vec<PathBuf> = paths.split(',').map(PathBuf::from).collect();
    ensure!(
        paths.iter().all(|path| !path.as_os_str().is_empty()),
        "--ssh {argument} has an empty path"
    );
    Ok((id.to_owned(), paths))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(argument: &str) -> Result<SecretRequest> {
        SecretRequest::parse(argument, |name| name == "SET")
    }

    fn source(argument: &str) -> SecretSource {
        parse(argument).unwrap().source
    }

    #[test]
    fn what_a_secret_is_follows_from_what_is_given() {
        let file = |path: &str| SecretSource::File(PathBuf::from(path));
        let variable = |name: &str| SecretSource::Variable(name.to_owned());
        assert_eq!(source("id=a,src=f"), file("f"));
        assert_eq!(source("ID=a,source=f"), file("f"));
        assert_eq!(source("id=a,env=E"), variable("E"));
        assert_eq!(source("id=a,type=env,src=E"), variable("E"));
        assert_eq!(source("id=a,type=env"), variable("a"));
        assert_eq!(source("id=SET"), variable("SET"));
        assert_eq!(source("id=SET,type=file"), file("SET"));
        assert_eq!(source("id=a"), file("a"));
        assert_eq!(source("id=a,\"src=with,comma\""), file("with,comma"));
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_named() {
        for (argument, expected) in [
            ("src=f", "no id"),
            ("id", "KEY=VALUE"),
            ("id=a,mode=1", "mode"),
            ("id=a,type=dir", "dir"),
        ] {
            let error = parse(argument).unwrap_err().to_string();
            assert!(error.contains(expected), "{argument}: {error}");
        }
    }

    #[test]
    fn a_secret_that_is_given_twice_or_too_large_is_an_error() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("f"), "x").unwrap();
        let twice = ["id=a,src=f".to_owned(), "id=a,src=f".to_owned()];
        let error = secrets(&twice, temp.path()).unwrap_err();
        assert!(error.to_string().contains("twice"), "{error}");
        std::fs::write(temp.path().join("f"), vec![0; 600_000]).unwrap();
        let error = secrets(&twice[..1], temp.path()).unwrap_err();
        assert!(format!("{error:#}").contains("500 KiB"), "{error:#}");
    }

    #[test]
    fn an_agent_has_an_id_and_perhaps_a_socket_or_keys() {
        let request = |argument| agent_request(argument).unwrap();
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(request("default"), ("default".to_owned(), Vec::new()));
        assert_eq!(request("git="), ("git".to_owned(), Vec::new()));
        assert_eq!(request("git=/s"), ("git".to_owned(), paths(&["/s"])));
        assert_eq!(request("git=a,b"), ("git".to_owned(), paths(&["a", "b"])));
        assert!(agent_request("=/s").is_err());
        assert!(agent_request("git=a,").is_err());
    }

    #[test]
    fn what_is_no_key_is_an_error_with_its_path() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("id_ed25519"), "x").unwrap();
        let error = agents(&["default=id_ed25519".to_owned()], temp.path()).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("id_ed25519`: it is no private key"),
            "{error}"
        );
    }
}
