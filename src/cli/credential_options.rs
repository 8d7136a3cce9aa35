//! Where credentials are looked for, from flags and environment to a list of sources.

use anyhow::{Context, Result, bail};

use crate::registry::credentials::{HostVariables, Login};
use crate::registry::{DockerConfig, Keychain, Source};

use super::{cloud_options, credential_files, environment};

/// What `--credential-helpers` may name, in the order in which kaniko asks them.
const HELPERS: [&str; 5] = ["env", "google", "ecr", "acr", "gitlab"];

/// Returns the sources in their order. The first that has something for a registry wins.
///
/// 1. `DOCKER_AUTH_CONFIG`: before the files, as in docker's CLI since 28.
/// 2. The files, in the order of [`credential_files::sources`].
/// 3. What kaniko calls helpers: all five in its order, or those that were named.
pub(super) fn keychain(helpers: Option<&[String]>) -> Result<Keychain> {
    let helpers = named_helpers(helpers)?;
    let mut sources = vec![variable_source()?];
    sources.extend(credential_files::sources()?);
    for helper in helpers {
        sources.push(helper_source(helper));
    }
    Ok(Keychain::of(sources))
}

fn variable_source() -> Result<Source> {
    const VARIABLE: &str = "DOCKER_AUTH_CONFIG";
    let Some(text) = environment::variable(VARIABLE) else {
        return Ok(Source::Absent {
            origin: VARIABLE.to_owned(),
            why: "not set".to_owned(),
        });
    };
    let config = DockerConfig::parse(&text, VARIABLE)
        .with_context(|| format!("cannot read credentials from {VARIABLE}"))?;
    Ok(Source::Config(config))
}

/// An empty name is none: `--credential-helpers=` leaves the files alone.
fn named_helpers(given: Option<&[String]>) -> Result<Vec<&'static str>> {
    let Some(given) = given else {
        return Ok(HELPERS.to_vec());
    };
    let mut named = Vec::new();
    let names = given.iter().flat_map(|text| text.split(','));
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        let Some(helper) = HELPERS.into_iter().find(|helper| *helper == name) else {
            let known = HELPERS.join(", ");
            bail!("--credential-helpers is `{name}`, expected {known}, or nothing");
        };
        named.push(helper);
    }
    // The order is not the user's to choose, as in kaniko.
    let chosen = HELPERS.into_iter();
    Ok(chosen.filter(|helper| named.contains(helper)).collect())
}

fn helper_source(helper: &'static str) -> Source {
    let variable = |name: &str| environment::variable(name);
    let source = match helper {
        "env" => Ok(Source::Variables(HostVariables::new(
            environment::variables_like("KANIKO_"),
        ))),
        "google" => cloud_options::google(),
        "ecr" => cloud_options::ecr(),
        "acr" => cloud_options::acr(),
        _ => Ok(gitlab(&variable)),
    };
    // What is wrong with a cloud's variables is of no concern to whoever uses other registries.
    source.unwrap_or_else(|error| Source::Absent {
        origin: helper.to_owned(),
        why: format!("{error:#}"),
    })
}

/// What a job of GitLab's is given: the registry's login, or the job's token; and that of the dependency proxy.
///
/// The token is for the registry of the instance and for the instance's own host, nowhere else.
fn gitlab(variable: &impl Fn(&str) -> Option<String>) -> Source {
    let name = "gitlab";
    let login = |host: &str, user: &str, password: &str| {
        let host = variable(host)?;
        Some(Login::new(&host, &variable(user)?, &variable(password)?))
    };
    let mut logins = Vec::new();
    logins.extend(login(
        "CI_REGISTRY",
        "CI_REGISTRY_USER",
        "CI_REGISTRY_PASSWORD",
    ));
    logins.extend(login(
        "CI_DEPENDENCY_PROXY_SERVER",
        "CI_DEPENDENCY_PROXY_USER",
        "CI_DEPENDENCY_PROXY_PASSWORD",
    ));
    if let Some(token) = variable("CI_JOB_TOKEN") {
        let server = variable("CI_SERVER_HOST");
        let port = variable("CI_SERVER_PORT");
        let with_port = server.clone().zip(port);
        let hosts = [
            variable("CI_REGISTRY"),
            server,
            with_port.map(|(server, port)| format!("{server}:{port}")),
        ];
        let hosts = hosts.into_iter().flatten();
        logins.extend(hosts.map(|host| Login::new(&host, "gitlab-ci-token", &token)));
    }
    if logins.is_empty() {
        return Source::Absent {
            origin: name.to_owned(),
            why: "not a job of GitLab's, CI_REGISTRY is not set".to_owned(),
        };
    }
    Source::Logins { name, logins }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_are_those_that_are_named_in_kanikos_order() {
        let named = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            named_helpers(Some(&texts)).map_err(|error| error.to_string())
        };
        assert_eq!(named_helpers(None).unwrap(), HELPERS);
        assert_eq!(named(&[""]).unwrap(), [""; 0]);
        assert_eq!(named(&["ecr", "env", "ecr"]).unwrap(), ["env", "ecr"]);
        assert_eq!(named(&["gitlab, acr", ""]).unwrap(), ["acr", "gitlab"]);
        assert!(named(&["gcp"]).unwrap_err().contains("`gcp`"));
    }

    fn job(variables: &'static [(&'static str, &'static str)]) -> Source {
        gitlab(&|name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn logins(source: Source) -> Vec<Login> {
        match source {
            Source::Logins { logins, .. } => logins,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_job_of_gitlab_has_logins_without_any_configuration() {
        let full = job(&[
            ("CI_REGISTRY", "registry.gitlab.example:5050"),
            ("CI_REGISTRY_USER", "gitlab-ci-token"),
            ("CI_REGISTRY_PASSWORD", "p1"),
            ("CI_DEPENDENCY_PROXY_SERVER", "gitlab.example:443"),
            ("CI_DEPENDENCY_PROXY_USER", "proxy"),
            ("CI_DEPENDENCY_PROXY_PASSWORD", "p2"),
            ("CI_JOB_TOKEN", "t"),
            ("CI_SERVER_HOST", "gitlab.example"),
            ("CI_SERVER_PORT", "8443"),
        ]);
        let token = |host| Login::new(host, "gitlab-ci-token", "t");
        assert_eq!(
            logins(full),
            [
                Login::new("registry.gitlab.example:5050", "gitlab-ci-token", "p1"),
                Login::new("gitlab.example", "proxy", "p2"),
                token("registry.gitlab.example:5050"),
                token("gitlab.example"),
                token("gitlab.example:8443"),
            ]
        );
        let token_only = job(&[("CI_REGISTRY", "r.example"), ("CI_JOB_TOKEN", "t")]);
        assert_eq!(logins(token_only), [token("r.example")]);
        assert!(matches!(job(&[]), Source::Absent { .. }));
    }
}
