//! Users and passwords that the environment holds for hosts. This module is given them; it must not read the environment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::Credential;
use crate::http::Password;
use crate::image::reference::DOCKER_HUB;
use crate::registry::host::{RegistryHost, canonical};

/// User and password for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    host: String,
    username: String,
    password: Password,
}

impl Login {
    /// Takes the host in any of its spellings: `host:443` is `host`.
    pub fn new(host: &str, username: &str, password: &str) -> Self {
        Self {
            host: canonical(host),
            username: username.to_owned(),
            password: Password::new(password),
        }
    }

    pub(super) fn is_for(&self, host: &RegistryHost) -> bool {
        self.host == host.name()
    }

    pub(super) fn credential(&self) -> Credential {
        Credential::Basic {
            username: self.username.clone(),
            password: self.password.clone(),
        }
    }
}

/// `KANIKO_<HOST>_USER` and `KANIKO_<HOST>_PASSWORD`, as kaniko's fork reads them.
#[derive(Clone, Debug, Default)]
pub struct HostVariables {
    users: BTreeMap<String, String>,
    passwords: BTreeMap<String, Password>,
}

const PREFIX: &str = "KANIKO_";

impl HostVariables {
    /// Takes variables with their values; those of other names are left out.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut found = Self::default();
        for (name, value) in variables {
            let Some(rest) = name.strip_prefix(PREFIX) else {
                continue;
            };
            if let Some(host) = rest.strip_suffix("_USER") {
                found.users.insert(host.to_owned(), value);
            } else if let Some(host) = rest.strip_suffix("_PASSWORD") {
                found
                    .passwords
                    .insert(host.to_owned(), Password::new(value));
            }
        }
        found
    }

    /// The longest name of the host wins. The error says what is missing.
    pub(super) fn find(&self, host: &str) -> Result<Credential, String> {
        let names = names_of(host);
        for name in &names {
            match (self.users.get(name), self.passwords.get(name)) {
                (Some(username), Some(password)) => {
                    return Ok(Credential::Basic {
                        username: username.clone(),
                        password: password.clone(),
                    });
                }
                (Some(_), None) => return Err(half(name, "USER", "PASSWORD")),
                (None, Some(_)) => return Err(half(name, "PASSWORD", "USER")),
                (None, None) => {}
            }
        }
        let longest = names.first().map_or("", String::as_str);
        Err(format!("{PREFIX}{longest}_USER is not set"))
    }
}

fn half(name: &str, given: &str, missing: &str) -> String {
    format!("{PREFIX}{name}_{given} is set, {PREFIX}{name}_{missing} is not")
}

/// The names under which a host may be found: upper case, `-` and `.` as `_`; leading labels dropped one by one.
/// With the port first, which kaniko's names have not.
fn names_of(host: &str) -> Vec<String> {
    let host = match host {
        // The name that kaniko knows Docker Hub by; `docker.io` is its rest.
        DOCKER_HUB => "index.docker.io",
        other => other,
    };
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let spellings = match without_port == host {
        true => vec![host],
        false => vec![host, without_port],
    };
    let is_address = without_port
        .trim_matches(['[', ']'])
        .parse::<IpAddr>()
        .is_ok();
    let mut names = Vec::new();
    for spelling in spellings {
        let mut rest = spelling;
        names.push(variable_name(rest));
        // The last labels of an address are no domain.
        while let Some((_, parent)) = rest.split_once('.').filter(|_| !is_address) {
            names.push(variable_name(parent));
            rest = parent;
        }
    }
    names
}

fn variable_name(host: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    host.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(texts: &[(&str, &str)]) -> HostVariables {
        HostVariables::new(
            texts
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn a_host_is_known_by_its_longest_name_that_has_variables() {
        for (host, names) in [
            (
                "my-reg.example.com",
                vec!["MY_REG_EXAMPLE_COM", "EXAMPLE_COM", "COM"],
            ),
            ("docker.io", vec!["INDEX_DOCKER_IO", "DOCKER_IO", "IO"]),
            ("127.0.0.1:5000", vec!["127_0_0_1_5000", "127_0_0_1"]),
            ("localhost:5000", vec!["LOCALHOST_5000", "LOCALHOST"]),
            ("a.b:5000", vec!["A_B_5000", "B_5000", "A_B", "B"]),
        ] {
            assert_eq!(names_of(host), names, "{host}");
        }
    }

    #[test]
    fn a_user_without_a_password_is_told_and_nothing_is_shown() {
        let found = variables(&[
            ("KANIKO_REG_EXAMPLE_COM_USER", "u"),
            ("KANIKO_EXAMPLE_COM_USER", "wide"),
            ("KANIKO_EXAMPLE_COM_PASSWORD", "s3cret"),
            ("KANIKO_DIR", "/x"),
        ]);
        assert_eq!(
            found.find("reg.example.com").unwrap_err(),
            "KANIKO_REG_EXAMPLE_COM_USER is set, KANIKO_REG_EXAMPLE_COM_PASSWORD is not"
        );
        assert_eq!(
            found.find("reg.example.org").unwrap_err(),
            "KANIKO_REG_EXAMPLE_ORG_USER is not set"
        );
        let other = found.find("other.example.com").unwrap();
        assert_eq!(other.outline(), "user `wide`");
        assert!(!format!("{found:?} {other:?}").contains("s3cret"));
    }

    #[test]
    fn a_login_is_for_its_host_and_no_other() {
        let login = Login::new("GitLab.example.com:443", "u", "s3cret");
        assert!(login.is_for(&RegistryHost::new("gitlab.example.com")));
        assert!(login.is_for(&RegistryHost::new("gitlab.example.com:443")));
        for other in [
            "gitlab.example.com:5050",
            "gitlab.example.com.evil",
            "x.gitlab.example.com",
        ] {
            assert!(!login.is_for(&RegistryHost::new(other)), "{other}");
        }
        assert!(!format!("{login:?}").contains("s3cret"));
    }
}
