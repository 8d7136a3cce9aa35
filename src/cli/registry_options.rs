//! How registries are spoken to, from words to meaning; both programs have the same flags for pulling.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::build::{BaseRetries, BuildOptions};
use crate::http::options::USER_AGENT;
use crate::registry::RegistryOptions;
use crate::registry::options::{ClientCertificate, Mirror, ProxyOptions, SystemRoots};
use crate::remote::{RemoteOptions, StoreVariables};

use super::credential_options::keychain;
use super::environment::{self, absolute};
use super::flags::{PullFlags, RegistryFlags};

/// The host that `--registry-mirror` is about.
const DOCKER_HUB: &str = "index.docker.io";

/// Checks the executor's flags.
pub(super) fn registry_options(
    flags: &RegistryFlags,
    current_dir: &Path,
) -> Result<RegistryOptions> {
    Ok(RegistryOptions {
        insecure_push: flags.insecure,
        skip_tls_verify: flags.skip_tls_verify,
        user_agent: user_agent(environment::variable("UPSTREAM_CLIENT_TYPE")),
        ..pull_options(&flags.pull, current_dir)?
    })
}

/// Returns the name that registries see, with what a program that calls the executor calls itself, as kaniko's
/// `UPSTREAM_CLIENT_TYPE`.
fn user_agent(caller: Option<String>) -> String {
    // What no header can hold is left out, as it would stop every request.
    let is_sayable = |text: &String| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match caller.filter(is_sayable) {
        Some(caller) => format!("{USER_AGENT},{caller}"),
        None => USER_AGENT.to_owned(),
    }
}

/// Checks the flags for pulling, with the environment that they refer to.
pub(super) fn pull_options(flags: &PullFlags, current_dir: &Path) -> Result<RegistryOptions> {
    Ok(RegistryOptions {
        insecure_pull: flags.insecure_pull,
        insecure_hosts: flags.insecure_registry.iter().cloned().collect(),
        skip_tls_verify_pull: flags.skip_tls_verify_pull,
        skip_tls_verify_hosts: flags.skip_tls_verify_registry.iter().cloned().collect(),
        registry_certificates: certificates(&flags.registry_certificate, current_dir)?,
        client_certificates: client_certificates(&flags.registry_client_cert, current_dir)?,
        mirrors: mirrors(flags)?,
        skip_default_registry_fallback: flags.skip_default_registry_fallback,
        system_roots: SystemRoots {
            file: environment::path_variable("SSL_CERT_FILE"),
            dirs: environment::path_list("SSL_CERT_DIR"),
            // GitLab's runner writes the certificates of its server there: its registry has the same authority.
            more: environment::path_variable("CI_SERVER_TLS_CA_FILE")
                .into_iter()
                .collect(),
        },
        certificate_dirs: environment::certificate_dirs(),
        proxy: proxy_options()?,
        keychain: keychain(flags.credential_helpers.as_deref())?,
        ..RegistryOptions::default()
    })
}

/// Returns how often base images are pulled again. As in kaniko, less than none is none.
pub(super) fn base_retries(flags: &RegistryFlags) -> BaseRetries {
    let count = |number: i64| u32::try_from(number.max(0)).unwrap_or(u32::MAX);
    BaseRetries {
        download: count(flags.image_download_retry),
        unpack: count(flags.image_fs_extract_retry),
    }
}

/// Returns how servers of files and repositories are spoken to: certificates and proxies as for registries. What makes a
/// registry insecure makes no other server so.
pub(super) fn remote_options(registry: &RegistryOptions, build: &BuildOptions) -> RemoteOptions {
    let ssh = build.agents.get("default");
    RemoteOptions {
        ssh_agent: ssh.and_then(|agent| Some(agent.socket()?.to_path_buf())),
        ssh_keys: ssh.map(|agent| agent.key_files()).unwrap_or_default(),
        ..server_options(registry)
    }
}

/// The same for a program that has no agent.
pub(super) fn server_options(registry: &RegistryOptions) -> RemoteOptions {
    RemoteOptions {
        certificates: registry.registry_certificates.clone(),
        client_certificates: registry.client_certificates.clone(),
        system_roots: registry.system_roots.clone(),
        proxy: registry.proxy.clone(),
        retry: registry.retry,
        timeouts: registry.timeouts,
        unverified: BTreeSet::new(),
        object_stores: StoreVariables::default(),
        ssh_agent: None,
        ssh_keys: Vec::new(),
    }
}

fn certificates(
    arguments: &[String],
    current_dir: &Path,
) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut certificates: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for argument in arguments {
        let (host, file) = argument.split_once('=').with_context(|| {
            format!("--registry-certificate is `{argument}`, expected HOST=FILE")
        })?;
        let files = certificates.entry(host.to_owned()).or_default();
        files.push(absolute(file.as_ref(), current_dir));
    }
    Ok(certificates)
}

fn client_certificates(
    arguments: &[String],
    current_dir: &Path,
) -> Result<BTreeMap<String, ClientCertificate>> {
    let mut certificates = BTreeMap::new();
    for argument in arguments {
        let split = argument.split_once('=');
        let split = split.and_then(|(host, files)| Some((host, files.split_once(',')?)));
        let Some((host, (certificate, key))) = split else {
            bail!("--registry-client-cert is `{argument}`, expected HOST=CERTIFICATE,KEY");
        };
        let certificate = ClientCertificate {
            certificate: absolute(certificate.as_ref(), current_dir),
            key: absolute(key.as_ref(), current_dir),
        };
        certificates.insert(host.to_owned(), certificate);
    }
    Ok(certificates)
}

/// Returns where to pull from instead of each registry. As in kaniko, the variables add to the flags, and the mirrors of
/// Docker Hub come after what maps say of it.
fn mirrors(flags: &PullFlags) -> Result<BTreeMap<String, Vec<Mirror>>> {
    let map = environment::variable("KANIKO_REGISTRY_MAP");
    let mirror = environment::variable("KANIKO_REGISTRY_MIRROR");
    let maps = flags.registry_map.iter().chain(&map);
    let mirrors = flags.registry_mirror.iter().chain(&mirror);
    read_mirrors(maps, mirrors)
}

fn read_mirrors<'a>(
    maps: impl Iterator<Item = &'a String>,
    mirrors: impl Iterator<Item = &'a String>,
) -> Result<BTreeMap<String, Vec<Mirror>>> {
    let mut found: BTreeMap<String, Vec<Mirror>> = BTreeMap::new();
    for map in maps {
        for pair in map.split(';').filter(|pair| !pair.is_empty()) {
            let (host, mirror) = pair.split_once('=').with_context(|| {
                format!("--registry-map is `{map}`, expected HOST=MIRROR[;HOST=MIRROR…]")
            })?;
            // All names of Docker Hub are one registry, with one list.
            let host = match host {
                "docker.io" | "registry-1.docker.io" => DOCKER_HUB,
                other => other,
            };
            let list = found.entry(host.to_owned()).or_default();
            list.push(Mirror::parse(mirror));
        }
    }
    let mirrors = mirrors.filter(|mirror| !mirror.is_empty());
    let mirrors: Vec<Mirror> = mirrors.map(|mirror| Mirror::parse(mirror)).collect();
    if !mirrors.is_empty() {
        let list = found.entry(DOCKER_HUB.to_owned()).or_default();
        list.extend(mirrors);
    }
    Ok(found)
}

fn proxy_options() -> Result<ProxyOptions> {
    let url = |names: [&str; 2]| {
        let found = names
            .iter()
            .find_map(|name| environment::variable(name).map(|value| (name, value)));
        let Some((name, value)) = found else {
            return Ok(None);
        };
        // curl and Go take `host:port` for a proxy as well.
        let text = if value.contains("://") {
            value
        } else {
            format!("http://{value}")
        };
        // The value may hold a password: it is not repeated.
        let url = text
            .parse()
            .with_context(|| format!("{name} is not a URL"))?;
        anyhow::Ok(Some(url))
    };
    let no_proxy = ["NO_PROXY", "no_proxy"]
        .iter()
        .find_map(|name| environment::variable(name));
    Ok(ProxyOptions {
        // Upper-case HTTP_PROXY is what a CGI request header would set; a CI job sets either.
        http_proxy: url(["http_proxy", "HTTP_PROXY"])?,
        https_proxy: url(["https_proxy", "HTTPS_PROXY"])?,
        no_proxy: no_proxy.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_and_mirrors_of_docker_hub_are_one_list_in_their_order() {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let maps: Vec<String> = texts(&[
            "docker.io=first;gcr.io=other/prefix",
            "index.docker.io=second",
        ]);
        let mirrors: Vec<String> = texts(&["third", ""]);
        let found = read_mirrors(maps.iter(), mirrors.iter()).unwrap();
        let hosts = |host: &str| -> Vec<&str> {
            let mirrors = found[host].iter();
            mirrors.map(|mirror| mirror.host.as_str()).collect()
        };
        assert_eq!(hosts(DOCKER_HUB), ["first", "second", "third"]);
        assert_eq!(found["gcr.io"], [Mirror::parse("other/prefix")]);
        assert_eq!(found.len(), 2);
        assert!(read_mirrors(texts(&["gcr.io"]).iter(), [].iter()).is_err());
    }

    #[test]
    fn whoever_calls_us_is_named_to_registries() {
        let named = |text: &str| user_agent(Some(text.to_owned()));
        assert_eq!(user_agent(None), USER_AGENT);
        assert_eq!(named("a caller/1"), format!("{USER_AGENT},a caller/1"));
        assert_eq!(named("no\nheader"), USER_AGENT);
    }

    #[test]
    fn a_client_certificate_is_two_files_of_a_host() {
        let read = |text: &str| client_certificates(&[text.to_owned()], Path::new("/job"));
        let found = read("reg.lan=c.pem,/k.pem").unwrap();
        let expected = ClientCertificate {
            certificate: PathBuf::from("/job/c.pem"),
            key: PathBuf::from("/k.pem"),
        };
        assert_eq!(found["reg.lan"], expected);
        for wrong in ["reg.lan", "reg.lan=c.pem", "c.pem,k.pem"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
