//! A file from an HTTP server: what it is at present, and its bytes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;

use bytes::Bytes;
use futures_util::TryStreamExt;
use reqwest::header::{ETAG, HeaderMap, LAST_MODIFIED};
use reqwest::{Method, StatusCode};
use tokio_util::io::StreamReader;
use url::Url;

use super::Fetcher;
use super::error::RemoteError;
use super::partial::Partial;
use super::stream::Stream;
use super::web::{Answer, WebRequest, without_user};
use crate::fs::{Dir, Timestamp};
use crate::http::Call;
use crate::http::retry::{Retries, with_retries};
use crate::image::Digest;

/// What a file is called whose URL has no name (BuildKit, `convert_copy`).
const UNNAMED: &str = "__unnamed__";

/// What is held in memory of a download.
const READ_BYTES: usize = 256 * 1024;

/// A file on an HTTP server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HttpSource {
    /// Where it is.
    pub url: Url,
    /// What it must be. `None` for whatever comes.
    pub checksum: Option<Digest>,
}

/// Without what may be secret of a URL: user, password and query.
impl fmt::Debug for HttpSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = without_user(&self.url);
        url.set_query(None);
        formatter
            .debug_struct("HttpSource")
            .field("url", &url.as_str())
            .field("checksum", &self.checksum)
            .finish()
    }
}

/// What a server says of the present state of a file. Both are empty where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// `ETag`
    pub etag: String,
    /// `Last-Modified`
    pub last_modified: String,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// What its bytes are.
    pub digest: Digest,
    /// What the server said of it when it sent them.
    pub version: Version,
}

impl HttpSource {
    /// Returns what a copy is called in a directory: the last element of the URL's path.
    pub fn name(&self) -> OsString {
        let path = super::percent::decoded(self.url.path());
        let mut elements = path.split(|byte| *byte == b'/');
        let last = elements.rfind(|element| !element.is_empty());
        match last {
            None | Some(b"." | b"..") => OsString::from(UNNAMED),
            Some(last) => OsString::from_vec(last.to_vec()),
        }
    }
}

impl Version {
    /// Says whether it tells one state of the file from another.
    pub fn is_known(&self) -> bool {
        !self.etag.is_empty() || !self.last_modified.is_empty()
    }

    /// Returns when the file was changed, as the server says, in seconds since the Unix epoch.
    pub fn time(&self) -> Option<i64> {
        let date = jiff::fmt::rfc2822::parse(self.last_modified.trim()).ok()?;
        Some(date.timestamp().as_second())
    }

    /// Returns the time of the file: 1970-01-01 where the server says none (Dockerfile reference, "ADD").
    pub fn mtime(&self) -> Timestamp {
        Timestamp {
            seconds: self.time().unwrap_or(0),
            nanos: 0,
        }
    }

    pub(super) fn of(answer: &Answer) -> Self {
        Self {
            etag: answer.header(&ETAG).to_owned(),
            last_modified: answer.header(&LAST_MODIFIED).to_owned(),
        }
    }
}

impl Fetcher {
    /// Asks what a file is at present. No byte of it is fetched, but for servers that do not know HEAD.
    pub async fn version(&self, source: &HttpSource) -> Result<Version, RemoteError> {
        let policy = self.web.options.retry;
        let asked = with_retries(&policy, || async {
            let head = self.web.send(&self.request(source, Method::HEAD)).await?;
            if head.status().is_success() {
                return Ok(Version::of(&head));
            }
            // URLs that are signed for GET only, and servers without HEAD.
            let get = self.web.send(&self.request(source, Method::GET)).await?;
            Ok(Version::of(&get.accept()?))
        });
        tokio::select! {
            version = asked => version,
            () = self.stop.cancelled() => Err(RemoteError::Stopped),
        }
    }

    /// Fetches a file into `dir`, under `name`, with `mode`. If it breaks off, the rest is asked for, where the server says
    /// what tells that it is of the same file. Blocks.
    pub fn download(
        &self,
        source: &HttpSource,
        dir: &Dir,
        name: &OsStr,
        mode: u32,
    ) -> Result<Downloaded, RemoteError> {
        let mut retries = Retries::new(self.web.options.retry);
        let mut partial = None;
        let (whole, call) = loop {
            match self.receive(source, (dir, name), &mut partial) {
                Ok(received) => break received,
                Err(error) => self.wait(retries.wait_after(error))?,
            }
        };
        let (digest, version) = whole.finish(mode)?;
        match &source.checksum {
            Some(expected) if *expected != digest => Err(RemoteError::Checksum {
                call,
                expected: expected.clone(),
                actual: digest,
            }),
            Some(_) | None => Ok(Downloaded { digest, version }),
        }
    }

    /// Tries once to fetch what is missing. `partial` is what is here of an earlier try, and then of this one.
    fn receive<'a>(
        &self,
        source: &HttpSource,
        place: (&'a Dir, &'a OsStr),
        partial: &mut Option<Partial<'a>>,
    ) -> Result<(Partial<'a>, Box<Call>), RemoteError> {
        let rest = partial.as_ref().and_then(|part| part.received.headers());
        let is_rest = rest.is_some();
        let request = WebRequest {
            headers: rest.unwrap_or_default(),
            ..self.request(source, Method::GET)
        };
        let mut answer = self.wait(self.web.send(&request))?;
        let continued = partial.take_if(|part| is_rest && part.received.is_continued_by(&answer));
        let another = [
            StatusCode::PARTIAL_CONTENT,
            StatusCode::RANGE_NOT_SATISFIABLE,
        ];
        if is_rest && continued.is_none() && another.contains(&answer.status()) {
            answer = self.wait(self.web.send(&self.request(source, Method::GET)))?;
        }
        let answer = answer.accept()?;
        let call = answer.call.clone();
        let part = match continued {
            Some(part) => part,
            None => Partial::begin(place.0, place.1, Version::of(&answer))?,
        };
        let part = partial.insert(part);
        let mut body = self.body(answer);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let read = body.read(&mut buffer);
            let read = read.map_err(|error| self.interrupted(call.clone(), error))?;
            if read == 0 {
                break;
            }
            part.append(&buffer[..read])?;
        }
        let whole = partial.take().ok_or(RemoteError::Stopped)?;
        Ok((whole, call))
    }

    pub(super) fn request(&self, source: &HttpSource, method: Method) -> WebRequest {
        WebRequest {
            method,
            url: source.url.clone(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            authorization: self.credentials.of_file(&source.url),
            may_downgrade: source.checksum.is_some(),
        }
    }

    /// Returns what a server sends, to be read on a thread that may block.
    pub(super) fn body(&self, answer: Answer) -> Stream {
        let pieces = answer.inner.bytes_stream();
        let pieces = pieces.map_err(|error| io::Error::other(error.without_url()));
        let idle = self.web.options.timeouts.idle;
        let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
        Stream::new(StreamReader::new(pieces), runtime, stop, idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_secret_of_a_source_is_printed() {
        let file = HttpSource {
            url: Url::parse("https://me:hidden@h/f?sig=hidden").unwrap(),
            checksum: None,
        };
        let repository = crate::remote::GitSource::parse("https://me:hidden@h/r.git");
        let shown = format!("{file:?} {:?}", repository.unwrap());
        assert!(shown.contains("https://h/f") && shown.contains("https://h/r.git"));
        assert!(!shown.contains("hidden"), "{shown}");
    }

    #[test]
    fn a_file_is_called_by_the_last_element_of_the_path() {
        for (url, expected) in [
            ("https://h/a/b.tar.gz?x=/c#d", "b.tar.gz"),
            ("https://h/a/", "a"),
            ("https://h", UNNAMED),
            ("https://h//", UNNAMED),
            ("https://h/a%20b", "a b"),
            ("https://h/x%2Fpasswd", "passwd"),
            ("https://h/x/%2e%2e%2f%2e%2e", UNNAMED),
        ] {
            let url = Url::parse(url).unwrap();
            let source = HttpSource {
                url,
                checksum: None,
            };
            assert_eq!(source.name(), OsString::from(expected), "{}", source.url);
        }
    }

    #[test]
    fn the_time_of_a_file_is_what_the_server_says_or_the_epoch() {
        let version = |text: &str| Version {
            etag: String::new(),
            last_modified: text.to_owned(),
        };
        let seconds = |text| version(text).mtime().seconds;
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), 784_111_777);
        assert_eq!((seconds(""), seconds("yesterday")), (0, 0));
        assert!(!version("").is_known());
    }
}
