//! HTTP clients: proxies, time limits and TLS put together. This module must not send anything.

use reqwest::{Proxy, redirect};
use rustls::RootCertStore;

use super::no_proxy::NoProxy;
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
    let builder = match proxy(settings.proxy) {
        Some(proxy) => builder.proxy(proxy),
        None => builder,
    };
    builder.build().map_err(TlsSetupError::Http)
}

/// One proxy that asks the options for each URL: reqwest's own list of exceptions knows less than people write.
fn proxy(options: &ProxyOptions) -> Option<Proxy> {
    if options.http_proxy.is_none() && options.https_proxy.is_none() {
        return None;
    }
    let (http, https) = (options.http_proxy.clone(), options.https_proxy.clone());
    let exceptions = NoProxy::parse(&options.no_proxy);
    Some(Proxy::custom(move |url| {
        let proxy = match url.scheme() {
            "https" => &https,
            _ => &http,
        };
        proxy.clone().filter(|_| !exceptions.contains(url))
    }))
}
