//! A server for tests that says exactly what a test wants, including what no real server should say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::client::Repository;
use super::credentials::{DockerConfig, Keychain};
use super::options::{Purpose, RegistryOptions, RetryPolicy, Timeouts};
use super::pool::Registries;
use crate::image::Reference;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    /// With its query.
    pub(super) target: String,
    /// By lower-case name.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn is(&self, method: &str, target_start: &str) -> bool {
        self.method == method && self.target.starts_with(target_start)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Method and target in one, for comparing.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What the server does about a request.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Whole,
    /// The connection is closed after so many bytes of the body.
    CutAfter(usize),
    /// The connection is reset after so many bytes of the body.
    ResetAfter(usize),
    /// The connection is reset instead of an answer.
    Reset,
    /// Nothing is answered, for ever.
    Silence,
}

impl Reply {
    pub(super) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            ending: Ending::Whole,
        }
    }

    pub(super) fn reset() -> Self {
        Self {
            ending: Ending::Reset,
            ..Self::status(0)
        }
    }

    pub(super) fn silence() -> Self {
        Self {
            ending: Ending::Silence,
            ..Self::status(0)
        }
    }

    /// A 401 with a Bearer challenge.
    pub(super) fn bearer_challenge(realm: &str, scope: &str) -> Self {
        let challenge = format!(r#"Bearer realm="{realm}",service="reg",scope="{scope}""#);
        Self::status(401).header("WWW-Authenticate", &challenge)
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn cut_after(mut self, count: usize) -> Self {
        self.ending = Ending::CutAfter(count);
        self
    }

    pub(super) fn reset_after(mut self, count: usize) -> Self {
        self.ending = Ending::ResetAfter(count);
        self
    }
}

/// A running server. It ends with the test's runtime.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

type Answer = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;
type Patience = Box<dyn Fn(&Seen) -> Option<usize> + Send + Sync>;

impl Server {
    /// Answers each request, whole with its body, with `answer`.
    pub(super) async fn start(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_impatient(|_| None, answer).await
    }

    /// As `start`; where `reset_after` gives a number, the connection is reset after so many bytes of the request's body.
    pub(super) async fn start_impatient(
        reset_after: impl Fn(&Seen) -> Option<usize> + Send + Sync + 'static,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let (answer, patience): (Arc<Answer>, Arc<Patience>) =
            (Arc::new(Box::new(answer)), Arc::new(Box::new(reset_after)));
        let seen = Arc::clone(&server.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (seen, answer, patience) = (
                    Arc::clone(&seen),
                    Arc::clone(&answer),
                    Arc::clone(&patience),
                );
                tokio::spawn(serve(stream, seen, answer, patience));
            }
        });
        server
    }

    /// An address where nobody listens.
    pub(super) async fn nobody() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        }
    }

    /// Every request so far, in the order of arrival.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and target of every request so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The repository `app` of this server, for an anonymous user who does not wait long.
    pub(super) fn repository(&self) -> Repository {
        self.repository_with(options())
    }

    /// The repository `app` of this server, for user `u` with password `p`.
    pub(super) fn repository_of_user(&self) -> Repository {
        self.repository_with(RegistryOptions {
            keychain: user_at(self.address),
            ..options()
        })
    }

    pub(super) fn repository_with(&self, options: RegistryOptions) -> Repository {
        let reference = Reference::parse(&format!("{}/app", self.address)).unwrap();
        Registries::new(options)
            .repository(&reference, Purpose::Push)
            .unwrap()
    }
}

/// User `u` with password `p` at one address.
pub(super) fn user_at(address: SocketAddr) -> Keychain {
    let text = format!(r#"{{"auths":{{"{address}":{{"username":"u","password":"p"}}}}}}"#);
    Keychain::new(vec![DockerConfig::parse(&text, "config.json").unwrap()])
}

/// The default options, impatient.
pub(super) fn options() -> RegistryOptions {
    RegistryOptions {
        retry: RetryPolicy {
            retries: 3,
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(2),
            longest_retry_after: Duration::from_secs(5),
        },
        timeouts: Timeouts {
            connect: Duration::from_secs(10),
            response: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            commit: Duration::from_secs(10),
        },
        ..RegistryOptions::default()
    }
}

async fn serve(
    stream: TcpStream,
    log: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<Answer>,
    patience: Arc<Patience>,
) {
    let mut stream = BufReader::new(stream);
    // A TLS handshake: real servers of plain HTTP answer it like any other bad request.
    if stream
        .fill_buf()
        .await
        .is_ok_and(|bytes| bytes.first() == Some(&0x16))
    {
        let _ = stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n").await;
        return;
    }
    while let Some(mut seen) = read_head(&mut stream).await {
        let length: usize = seen
            .header("content-length")
            .map_or(0, |text| text.parse().unwrap());
        if let Some(count) = patience(&seen) {
            let mut part = vec![0; count.min(length)];
            let _ = stream.read_exact(&mut part).await;
            log.lock().unwrap().push(seen);
            return reset(stream);
        }
        seen.body.resize(length, 0);
        if stream.read_exact(&mut seen.body).await.is_err() {
            return;
        }
        log.lock().unwrap().push(seen.clone());
        let reply = answer(&seen);
        match reply.ending {
            Ending::Reset => return reset(stream),
            Ending::Silence => std::future::pending().await,
            Ending::Whole | Ending::CutAfter(_) | Ending::ResetAfter(_) => {}
        }
        if write_reply(&mut stream, &seen, &reply).await.is_err() {
            return;
        }
        match reply.ending {
            Ending::ResetAfter(_) => return reset(stream),
            Ending::Whole => {}
            Ending::CutAfter(_) | Ending::Reset | Ending::Silence => return,
        }
    }
}

fn reset(stream: BufReader<TcpStream>) {
    stream.into_inner().set_zero_linger().unwrap();
}

async fn read_head(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let first = read_line(stream).await?;
    let mut words = first.split(' ');
    let mut seen = Seen {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        headers: BTreeMap::new(),
        body: Vec::new(),
    };
    loop {
        let line = read_line(stream).await?;
        if line.is_empty() {
            return Some(seen);
        }
        let (name, value) = line.split_once(':')?;
        seen.headers
            .insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match stream.read_line(&mut line).await {
        Ok(count) if count > 0 => Some(line.trim_end().to_owned()),
        _ => None,
    }
}

async fn write_reply(
    stream: &mut BufReader<TcpStream>,
    seen: &Seen,
    reply: &Reply,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Scripted\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if reply.status != 204 && reply.status != 304 {
        head.push_str(&format!("Content-Length: {}\r\n", reply.body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    let sent = match reply.ending {
        Ending::CutAfter(count) | Ending::ResetAfter(count) => {
            &reply.body[..count.min(reply.body.len())]
        }
        Ending::Whole | Ending::Reset | Ending::Silence => &reply.body[..],
    };
    if seen.method != "HEAD" {
        stream.write_all(sent).await?;
    }
    stream.flush().await
}
