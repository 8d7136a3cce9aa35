//! One registry, and one repository on it. What can be done with a repository stands in `pull` and `push`.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::{Method, StatusCode};
use url::Url;

use super::error::RegistryError;
use super::request::Request;
use super::scope::{Access, Scope};
use super::transport::Transport;

/// A client for one host. Copies share connections, tokens and what was learnt about the host.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(super) transport: Arc<Transport>,
}

/// One name on one host, such as `library/alpine` on `docker.io`.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) registry: Registry,
    pub(super) name: String,
}

impl Registry {
    pub(super) fn new(transport: Transport) -> Self {
        Self {
            transport: Arc::new(transport),
        }
    }

    /// Returns the host's name: lower case, without `:443`, `docker.io` for Docker Hub.
    pub fn host(&self) -> &str {
        self.transport.host().name()
    }

    /// Shows the host's credentials to the registry, and fails if it does not take them.
    ///
    /// The registry's own URL is asked for (distribution-spec "API", end-1), as docker does at a login.
    pub async fn check_login(&self) -> Result<(), RegistryError> {
        // With the slash at its end.
        let url = self.transport.url(&[""]).await?;
        let request = Request::new(Method::GET, url);
        let statuses = [StatusCode::OK];
        self.transport.send_until(&request, &statuses).await?;
        Ok(())
    }

    /// Returns a repository of this host; nothing is asked yet. The name must come from a
    /// [`Reference`](crate::image::Reference).
    pub fn repository(&self, name: &str) -> Repository {
        Repository {
            registry: self.clone(),
            name: name.to_owned(),
        }
    }
}

impl Repository {
    /// Returns the client of the host.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns the path below the host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name for messages, such as `docker.io/library/alpine:3`.
    pub(super) fn image(&self, tag_or_digest: &str) -> String {
        let separator = if tag_or_digest.contains(':') {
            '@'
        } else {
            ':'
        };
        format!(
            "{}/{}{separator}{tag_or_digest}",
            self.registry.host(),
            self.name
        )
    }

    pub(super) fn transport(&self) -> &Transport {
        &self.registry.transport
    }

    /// Returns a URL below the repository.
    pub(super) async fn url(&self, segments: &[&str]) -> Result<Url, RegistryError> {
        let path: Vec<&str> = self
            .name
            .split('/')
            .chain(segments.iter().copied())
            .collect();
        self.transport().url(&path).await
    }

    /// A request to read something of the repository.
    pub(super) fn reading(&self, method: Method, url: Url) -> Request {
        Request::new(method, url).scopes(vec![Scope::new(&self.name, Access::Pull)])
    }

    /// A request to change something of the repository.
    pub(super) fn writing(&self, method: Method, url: Url) -> Request {
        Request::new(method, url).scopes(vec![Scope::new(&self.name, Access::PullPush)])
    }

    /// Reads a small document whole.
    pub(super) async fn read_small(
        &self,
        request: &Request,
        limit: u64,
    ) -> Result<Bytes, RegistryError> {
        let read = || async {
            let response = self
                .transport()
                .send_for(request, &[StatusCode::OK])
                .await?;
            response.body(limit).await
        };
        crate::http::retry::with_retries(&self.transport().retry_policy(), read).await
    }
}
