//! HTTP clients: proxies, time limits and TLS put together. This module must not send anything.

use reqwest::{NoProxy, Proxy, redirect};
use rustls::RootCertStore;

use super::options::{ProxyOptions, Timeouts};
use super::tls::{TlsSettings, TlsSetupError, client_config};

/// What a client for one host is made of.
#[derive(Debug)]
pub struct ClientSettings<'a> {
    /// Whom to trust, and what to show.
    pub tls: TlsSettings<'a>,
    /// Which proxies to go through.
    pub proxy: &'a ProxyOptions,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// What we call ourselves.
    pub user_agent: &'a str,
    /// Connections that are kept open for the next request.
    pub idle_connections: usize,
}

/// Makes a client that follows no redirects by itself: who may see an authorization is decided for each of them.
pub fn http_client(
    roots: &RootCertStore,
    settings: &ClientSettings<'_>,
) -> Result<reqwest::Client, TlsSetupError> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(client_config(roots, &settings.tls)?)
        // One connection per request in flight: a stream that a server resets takes no other with it.
        .http1_only()
        .redirect(redirect::Policy::none())
        // Proxies come from the options, never from the environment.
        .no_proxy()
        .user_agent(settings.user_agent)
        .connect_timeout(settings.timeouts.connect)
        .pool_max_idle_per_host(settings.idle_connections);
    let proxies = proxies(settings.proxy).map_err(TlsSetupError::Http)?;
    let builder = proxies
        .into_iter()
        .fold(builder, reqwest::ClientBuilder::proxy);
    builder.build().map_err(TlsSetupError::Http)
}

/// Reached directly whatever the user says, as Go does.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1";

/// One proxy per scheme. (`Proxy::custom` would be shorter, but reqwest 0.13 forgets its exceptions.)
fn proxies(options: &ProxyOptions) -> reqwest::Result<Vec<Proxy>> {
    let exceptions = format!("{NEVER_PROXIED},{}", options.no_proxy);
    let http = options.http_proxy.clone().map(Proxy::http);
    let https = options.https_proxy.clone().map(Proxy::https);
    let chosen = http.into_iter().chain(https);
    let with_exceptions = |proxy: Proxy| proxy.no_proxy(NoProxy::from_string(&exceptions));
    chosen.map(|proxy| proxy.map(with_exceptions)).collect()
}
