//! The way to a git server: HTTP, its own protocol, or SSH. This module carries bytes and knows no packets but the first.

use std::io::{self, BufRead, BufReader};
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use url::Url;

use super::super::Fetcher;
use super::super::error::RemoteError;
use super::super::stream::Stream;
use super::super::web::{Answer, WebRequest};
use super::AGENT;
use super::error::{GitError, malformed};
use super::pkt_line;
use super::ssh::SshProgram;
use super::url::{RepositoryUrl, ServerPath};

/// What we want of the server.
const SERVICE: &str = "git-upload-pack";

/// Asks for the newer protocol; a server that does not know it answers in the older one.
const PROTOCOL: &str = "version=2";

const GIT_PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");

/// The port of git's own protocol.
const GIT_PORT: u16 = 9418;

/// What is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// A connection to one repository.
pub(super) enum Connection<'a> {
    Web(WebConnection<'a>),
    Duplex(Duplex<'a>),
}

/// Each request is one of its own.
pub(super) struct WebConnection<'a> {
    fetcher: &'a Fetcher,
    /// Where the repository is: what redirects led to.
    base: Url,
    authorization: Option<HeaderValue>,
    advertisement: Option<Answer>,
}

/// Both directions stay open.
pub(super) struct Duplex<'a> {
    fetcher: &'a Fetcher,
    reader: BufReader<Stream>,
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    /// Ends with the connection.
    _program: Option<SshProgram>,
}

impl<'a> Connection<'a> {
    /// Connects. `named` is the repository that the user named; its secrets are for its origin.
    pub(super) fn open(
        fetcher: &'a Fetcher,
        repository: &RepositoryUrl,
        named: &RepositoryUrl,
    ) -> Result<Self, RemoteError> {
        match repository {
            RepositoryUrl::Http(url) => {
                let is_own = is_own_origin(url, named);
                WebConnection::open(fetcher, url, is_own).map(Self::Web)
            }
            RepositoryUrl::Git(server) => {
                let connected = fetcher.wait(connect(
                    server,
                    repository,
                    fetcher.web.options.timeouts.connect,
                ))?;
                let (reader, writer) = connected.into_split();
                let mut duplex = Duplex {
                    fetcher,
                    reader: fetcher.reader(reader),
                    writer: Box::new(writer),
                    _program: None,
                };
                let sent = greeting(server).and_then(|bytes| duplex.send(&bytes));
                sent.map_err(|error| fetcher.broken(repository, error))?;
                Ok(Self::Duplex(duplex))
            }
            RepositoryUrl::Ssh(server) => Duplex::over_ssh(fetcher, server, repository),
        }
    }

    /// Returns what the server says first.
    pub(super) fn advertisement(&mut self) -> io::Result<Box<dyn BufRead + '_>> {
        match self {
            Self::Duplex(duplex) => Ok(Box::new(&mut duplex.reader)),
            Self::Web(web) => {
                let answer = web.advertisement.take();
                let answer = answer.ok_or_else(|| malformed("the advertisement was read"))?;
                Ok(Box::new(BufReader::with_capacity(
                    READ_BYTES,
                    web.fetcher.body(answer),
                )))
            }
        }
    }

    /// Sends a request, and returns the answer.
    pub(super) fn request(&mut self, body: Vec<u8>) -> Result<Box<dyn BufRead + '_>, RequestError> {
        match self {
            Self::Duplex(duplex) => {
                duplex.send(&body)?;
                Ok(Box::new(&mut duplex.reader))
            }
            Self::Web(web) => {
                let answer = web.post(body)?;
                let body = web.fetcher.body(answer);
                Ok(Box::new(BufReader::with_capacity(READ_BYTES, body)))
            }
        }
    }
}

/// Why there is no answer.
pub(super) enum RequestError {
    Io(io::Error),
    Remote(RemoteError),
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<RemoteError> for RequestError {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

impl<'a> WebConnection<'a> {
    fn open(fetcher: &'a Fetcher, url: &Url, is_own: bool) -> Result<Self, RemoteError> {
        let authorization = fetcher.credentials.of_repository(url, is_own);
        let mut asked = below(url, "info/refs");
        asked.set_query(Some(&format!("service={SERVICE}")));
        let request = WebRequest {
            method: Method::GET,
            url: asked,
            headers: headers("application/x-git-upload-pack-advertisement"),
            body: Bytes::new(),
            authorization: authorization.clone(),
            may_downgrade: false,
        };
        let answer = fetcher.wait(fetcher.web.send(&request))?.accept()?;
        let expected = "application/x-git-upload-pack-advertisement";
        if answer.header(&CONTENT_TYPE) != expected {
            return Err(RemoteError::Protocol {
                call: answer.call,
                problem: "this is no git server that speaks the smart protocol".to_owned(),
            });
        }
        // As git does: what the first request was redirected to is where the repository is.
        let path = answer.url.path().strip_suffix("/info/refs");
        let Some(path) = path.map(str::to_owned) else {
            return Err(RemoteError::Protocol {
                call: answer.call,
                problem: "it redirects to what is no git repository".to_owned(),
            });
        };
        let mut base = answer.url.clone();
        base.set_path(&path);
        base.set_query(None);
        let is_own_origin = base.origin() == url.origin();
        Ok(Self {
            fetcher,
            base,
            authorization: authorization.filter(|_| is_own_origin),
            advertisement: Some(answer),
        })
    }

    fn post(&self, body: Vec<u8>) -> Result<Answer, RemoteError> {
        let mut headers = headers("application/x-git-upload-pack-result");
        let kind = HeaderValue::from_static("application/x-git-upload-pack-request");
        headers.insert(CONTENT_TYPE, kind);
        let request = WebRequest {
            method: Method::POST,
            url: below(&self.base, SERVICE),
            headers,
            body: body.into(),
            authorization: self.authorization.clone(),
            may_downgrade: false,
        };
        self.fetcher.wait(self.fetcher.web.send(&request))?.accept()
    }
}

fn headers(accept: &'static str) -> HeaderMap {
    HeaderMap::from_iter([
        (ACCEPT, HeaderValue::from_static(accept)),
        (GIT_PROTOCOL, HeaderValue::from_static(PROTOCOL)),
        (USER_AGENT, HeaderValue::from_static(AGENT)),
    ])
}

fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// Whether a repository is where the one is that the user named.
fn is_own_origin(url: &Url, named: &RepositoryUrl) -> bool {
    match named {
        RepositoryUrl::Http(named) => named.origin() == url.origin(),
        RepositoryUrl::Git(_) | RepositoryUrl::Ssh(_) => false,
    }
}

async fn connect(
    server: &ServerPath,
    repository: &RepositoryUrl,
    limit: Duration,
) -> Result<tokio::net::TcpStream, RemoteError> {
    let address = (server.host.as_str(), server.port.unwrap_or(GIT_PORT));
    // A host in brackets is an IPv6 address.
    let host = address.0.trim_start_matches('[').trim_end_matches(']');
    let connecting = tokio::net::TcpStream::connect((host, address.1));
    let connected = within(limit, connecting).await;
    connected.map_err(|source| {
        RemoteError::Git(GitError::Connection {
            repository: repository.to_string(),
            source,
        })
    })
}

/// Fails if something takes longer.
async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = tokio::time::timeout(limit, work).await;
    done.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Writes in pieces, each of which has to move within the time.
async fn write_all(
    writer: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    idle: Duration,
) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match within(idle, writer.write(rest)).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => rest = &rest[written..],
        }
    }
    within(idle, writer.flush()).await
}

/// git documentation, "gitprotocol-pack", "Git Transport".
fn greeting(server: &ServerPath) -> io::Result<Vec<u8>> {
    let port = server.port.map(|port| format!(":{port}"));
    let text = format!(
        "{SERVICE} {}\0host={}{}\0\0{PROTOCOL}\0",
        server.path,
        server.host,
        port.unwrap_or_default()
    );
    let mut greeting = Vec::new();
    pkt_line::push(&mut greeting, text.as_bytes())?;
    Ok(greeting)
}

impl<'a> Duplex<'a> {
    fn over_ssh(
        fetcher: &'a Fetcher,
        server: &ServerPath,
        repository: &RepositoryUrl,
    ) -> Result<Connection<'a>, RemoteError> {
        let asked = format!("{SERVICE} {}", quoted(&server.path));
        let options = &fetcher.web.options;
        let started = SshProgram::start(&fetcher.runtime, options, server, &asked, PROTOCOL);
        let (program, writer, reader) = started.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => GitError::NoSsh {
                repository: repository.to_string(),
            },
            _ => GitError::Connection {
                repository: repository.to_string(),
                source,
            },
        })?;
        Ok(Connection::Duplex(Duplex {
            fetcher,
            reader: fetcher.reader(reader),
            writer: Box::new(writer),
            _program: Some(program),
        }))
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let idle = self.fetcher.web.options.timeouts.idle;
        let sending = write_all(&mut self.writer, bytes, idle);
        let stop = &self.fetcher.stop;
        self.fetcher.runtime.block_on(async {
            tokio::select! {
                sent = sending => sent,
                () = stop.cancelled() => Err(io::Error::other("stopped")),
            }
        })
    }
}

/// As a POSIX shell on the server reads it.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

impl Fetcher {
    fn reader(&self, inner: impl tokio::io::AsyncRead + Send + 'static) -> BufReader<Stream> {
        let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
        let stream = Stream::new(inner, runtime, stop, self.web.options.timeouts.idle);
        BufReader::with_capacity(READ_BYTES, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_waited_for_without_end() {
        let limit = Duration::from_millis(10);
        let never = within(limit, std::future::pending::<io::Result<()>>()).await;
        assert_eq!(never.unwrap_err().kind(), io::ErrorKind::TimedOut);
        // Nobody reads.
        let (mut writer, _reader) = tokio::io::duplex(16);
        let written = write_all(&mut writer, &[0; 17], limit).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let (mut writer, _reader) = tokio::io::duplex(16);
        assert!(write_all(&mut writer, &[0; 16], limit).await.is_ok());
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let url = |text: &str| Url::parse(text).unwrap();
        let named = RepositoryUrl::Http(url("https://h/r.git"));
        assert!(is_own_origin(&url("https://h:443/x"), &named));
        for other in ["http://h/x", "https://h:444/x", "https://i/x"] {
            assert!(!is_own_origin(&url(other), &named), "{other}");
        }
    }

    #[test]
    fn a_path_is_one_word_for_the_shell_of_the_server() {
        assert_eq!(quoted("/srv/a b.git"), "'/srv/a b.git'");
        assert_eq!(quoted("a';rm -rf /'"), r"'a'\'';rm -rf /'\'''");
    }
}
