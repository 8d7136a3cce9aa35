//! An HTTP proxy on loopback that wants a password, and leads every name to one registry: the names need not exist.

use super::registry::Registry;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Who may use the proxy.
pub(crate) const PROXY_USER: &str = "job";
pub(crate) const PROXY_PASSWORD: &str = "hunter2";

/// A running proxy. It ends with the test's process.
pub(crate) struct ForwardProxy {
    port: u16,
    seen: Arc<Mutex<Vec<String>>>,
}

impl ForwardProxy {
    pub(crate) fn to(registry: &Registry) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port of loopback");
        let port = listener.local_addr().expect("a bound address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, upstream) = (Arc::clone(&seen), registry.host());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (noted, upstream) = (Arc::clone(&noted), upstream.clone());
                // A connection that breaks is the client's to complain about.
                std::thread::spawn(move || serve(client, &upstream, &noted));
            }
        });
        Self { port, seen }
    }

    /// The proxy as a variable names it, with the password.
    pub(crate) fn url(&self) -> String {
        format!(
            "http://{PROXY_USER}:{PROXY_PASSWORD}@127.0.0.1:{}",
            self.port
        )
    }

    /// `METHOD TARGET` of what the proxy was asked for with the password since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen)
    }
}

fn serve(mut client: TcpStream, upstream: &str, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let Some((head, rest)) = read_head(&mut client)? else {
        return Ok(());
    };
    let expected = STANDARD.encode(format!("{PROXY_USER}:{PROXY_PASSWORD}"));
    let expected = format!("proxy-authorization: basic {expected}").to_ascii_lowercase();
    if !head.to_ascii_lowercase().contains(&expected) {
        let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=e2e\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return client.write_all(answer.as_bytes());
    }
    let line = head.lines().next().unwrap_or_default();
    let line = line.trim_end_matches(" HTTP/1.1");
    let mut noted = seen.lock().unwrap_or_else(PoisonError::into_inner);
    noted.push(line.to_owned());
    drop(noted);
    let mut server = TcpStream::connect(upstream)?;
    match line.starts_with("CONNECT ") {
        true => client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?,
        false => server.write_all(origin_form(&head).as_bytes())?,
    }
    server.write_all(&rest)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    std::io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Both)
}

/// The head as the server itself is asked, for one request: `GET http://host/path` becomes `GET /path`.
fn origin_form(head: &str) -> String {
    let mut lines = head.trim_end().split("\r\n");
    let first = lines.next().unwrap_or_default();
    let (method, target) = first.split_once(' ').unwrap_or((first, ""));
    let after_scheme = target.split_once("://").map_or(target, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    let kept: Vec<&str> = lines
        .filter(|line| {
            let line = line.to_ascii_lowercase();
            !line.starts_with("proxy-") && !line.starts_with("connection:")
        })
        .collect();
    format!(
        "{method} {path}\r\n{}\r\nConnection: close\r\n\r\n",
        kept.join("\r\n")
    )
}

/// The head of a request, and what was read beyond it. `None` where the client sent nothing.
fn read_head(client: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut seen = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        if let Some(end) = seen.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = seen.split_off(end + 4);
            return Ok(Some((String::from_utf8_lossy(&seen).into_owned(), rest)));
        }
        let length = client.read(&mut chunk)?;
        if length == 0 {
            return Ok(None);
        }
        seen.extend_from_slice(&chunk[..length]);
    }
}
