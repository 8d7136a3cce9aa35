//! A server on loopback that stands before a registry: it notes every request, counts bytes, and fails where a test wants.

use super::registry::Registry;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The registry answers.
    Pass,
    /// The proxy answers with this status and nothing else.
    Refuse(u16),
    /// The proxy answers with this status and words in JSON.
    RefuseWith(u16, &'static str),
    /// The registry gets so many bytes of what follows the head, and then nobody hears anything any more.
    CutAfter(usize),
}

/// A running proxy. It ends with the test's process.
pub(crate) struct Proxy {
    port: u16,
    seen: Arc<Mutex<Traffic>>,
}

/// What has gone through a proxy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Traffic {
    /// `METHOD PATH`, with the query, in the order of arrival.
    pub(crate) requests: Vec<String>,
    /// In both directions, with all heads.
    pub(crate) bytes: usize,
}

impl Proxy {
    /// Passes everything on.
    pub(crate) fn before(registry: &Registry) -> Self {
        Self::with(registry, |_| Verdict::Pass)
    }

    /// Does with each request, given as `METHOD PATH`, what `judge` says.
    pub(crate) fn with(
        registry: &Registry,
        judge: impl Fn(&str) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a port of loopback");
        let port = listener.local_addr().expect("a bound address").port();
        let seen = Arc::new(Mutex::new(Traffic::default()));
        let (noted, judge, upstream) = (Arc::clone(&seen), Arc::new(judge), registry.host());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (noted, judge) = (Arc::clone(&noted), Arc::clone(&judge));
                let upstream = upstream.clone();
                // A connection that breaks is the client's to complain about.
                std::thread::spawn(move || {
                    let _ = serve(client?, &upstream, &*judge, &noted);
                    std::io::Result::Ok(())
                });
            }
        });
        Self { port, seen }
    }

    /// The full reference of `name`, such as `app:1`, as it is reached through here.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    /// What has gone through since the last call.
    pub(crate) fn take(&self) -> Traffic {
        std::mem::take(&mut *lock(&self.seen))
    }
}

fn lock(seen: &Mutex<Traffic>) -> std::sync::MutexGuard<'_, Traffic> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves one request: every answer ends its connection.
fn serve(
    mut client: TcpStream,
    upstream: &str,
    judge: &dyn Fn(&str) -> Verdict,
    seen: &Arc<Mutex<Traffic>>,
) -> std::io::Result<()> {
    let Some((head, rest)) = read_head(&mut client)? else {
        return Ok(());
    };
    let line = head.lines().next().unwrap_or_default();
    let request = line.trim_end_matches(" HTTP/1.1").to_owned();
    {
        let mut seen = lock(seen);
        seen.requests.push(request.clone());
        seen.bytes += head.len() + rest.len();
    }
    let limit = match judge(&request) {
        Verdict::Pass => usize::MAX,
        Verdict::CutAfter(limit) => limit,
        Verdict::Refuse(status) => return refuse(client, status, ""),
        Verdict::RefuseWith(status, words) => return refuse(client, status, words),
    };
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(with_close(&head).as_bytes())?;
    let sent = rest.len().min(limit);
    server.write_all(&rest[..sent])?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let (counted, watched) = (Arc::clone(seen), client.try_clone()?);
    std::thread::spawn(move || {
        relay(&mut from_client, &mut to_server, limit - sent, &counted);
        if limit != usize::MAX {
            // Cut: neither side hears anything any more.
            let _ = to_server.shutdown(Shutdown::Both);
            let _ = watched.shutdown(Shutdown::Both);
        }
    });
    relay(&mut server, &mut client, usize::MAX, seen);
    client.shutdown(Shutdown::Both)
}

fn refuse(mut client: TcpStream, status: u16, words: &str) -> std::io::Result<()> {
    let length = words.len();
    let answer = format!(
        "HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{words}"
    );
    client.write_all(answer.as_bytes())?;
    // The body is taken, or the client would see a broken connection instead of the answer.
    client.shutdown(Shutdown::Write)?;
    std::io::copy(&mut client, &mut std::io::sink()).map(drop)
}

/// Hands on up to `limit` bytes, until one side is closed.
fn relay(from: &mut TcpStream, to: &mut TcpStream, limit: usize, seen: &Mutex<Traffic>) {
    let mut chunk = vec![0; 1 << 16];
    let mut left = limit;
    while left > 0 {
        let Ok(length @ 1..) = from.read(&mut chunk) else {
            return;
        };
        let length = length.min(left);
        left -= length;
        lock(seen).bytes += length;
        if to.write_all(&chunk[..length]).is_err() {
            return;
        }
    }
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

/// The head with the wish that the connection ends with the answer.
fn with_close(head: &str) -> String {
    let lines = head.trim_end().split("\r\n");
    let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let kept: Vec<&str> = kept.collect();
    format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n"))
}
