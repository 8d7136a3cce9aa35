//! A file that arrives from elsewhere and is read while it does: from an HTTP server or an object store. This module must
//! not know what is in it.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Method;

use super::Fetcher;
use super::download::{HttpSource, Version};
use super::error::RemoteError;
use super::object::ObjectSource;
use super::rest::{Ended, Rest};
use super::stream::Stream;
use crate::http::Call;
use crate::http::retry::Retries;

/// A file somewhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteFile {
    /// On an HTTP server.
    Http(HttpSource),
    /// In an object store.
    Object(ObjectSource),
}

/// The bytes of a file, as they arrive. Not held in memory.
pub struct Incoming {
    stream: Stream,
    call: Box<Call>,
    version: Version,
    fetcher: Arc<Fetcher>,
    broken: Broken,
    /// `None` where what speaks to the store asks for the rest itself.
    rest: Option<Rest>,
}

/// Why the bytes stopped coming; empty while they come. Whoever reads them sees it as an error of his own.
#[derive(Clone, Default)]
struct Broken(Arc<Mutex<Option<Ended>>>);

impl Fetcher {
    /// Asks for a file and hands it to `take` while it arrives. Where the connection breaks, the rest is asked for; where
    /// the server does not say what tells that it is of the same file, `take` gets the file again from its beginning, as
    /// often as requests are tried. Blocks.
    pub fn stream<T, E: From<RemoteError>>(
        self: &Arc<Self>,
        file: &RemoteFile,
        mut take: impl FnMut(Incoming) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut retries = Retries::new(self.web.options.retry);
        loop {
            let error = match self.open(file) {
                Err(error) => error,
                Ok(incoming) => {
                    let broken = incoming.broken.clone();
                    match take(incoming) {
                        Ok(taken) => return Ok(taken),
                        Err(error) => match broken.take() {
                            None => return Err(error),
                            Some(Ended::GivenUp(error)) => return Err(error.into()),
                            Some(Ended::Restart(error)) => error,
                        },
                    }
                }
            };
            self.wait(retries.wait_after(error))?;
        }
    }

    fn open(self: &Arc<Self>, file: &RemoteFile) -> Result<Incoming, RemoteError> {
        let (stream, call, version, rest) = match file {
            RemoteFile::Http(source) => {
                let request = self.request(source, Method::GET);
                let answer = self.wait(self.web.send(&request))?.accept()?;
                let (call, version) = (answer.call.clone(), Version::of(&answer));
                let retries = Retries::new(self.web.options.retry);
                let rest = Rest::new(source.clone(), version.clone(), retries);
                (self.body(answer), call, version, Some(rest))
            }
            RemoteFile::Object(source) => {
                let arriving = self.wait(source.request(&self.web))?;
                let idle = self.web.options.timeouts.idle;
                let (runtime, stop) = (self.runtime.clone(), self.stop.clone());
                let stream = Stream::new(arriving.body, runtime, stop, idle);
                (stream, arriving.call, Version::default(), None)
            }
        };
        Ok(Incoming {
            stream,
            call,
            version,
            fetcher: Arc::clone(self),
            broken: Broken::default(),
            rest,
        })
    }
}

impl Incoming {
    /// Returns what the server said of the file when it sent it.
    pub fn version(&self) -> &Version {
        &self.version
    }
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.stream.read(buffer) {
                Ok(count) => {
                    if let Some(rest) = &mut self.rest {
                        rest.add(count);
                    }
                    return Ok(count);
                }
                Err(error) => {
                    let error = self.fetcher.interrupted(self.call.clone(), error);
                    self.go_on(error)?;
                }
            }
        }
    }
}

impl Incoming {
    fn go_on(&mut self, error: RemoteError) -> io::Result<()> {
        let answer = match &mut self.rest {
            Some(rest) => rest.ask_again(&self.fetcher, error),
            None => Err(Ended::Restart(error)),
        };
        match answer {
            Ok(answer) => {
                self.call = answer.call.clone();
                self.stream = self.fetcher.body(answer);
                Ok(())
            }
            Err(ended) => {
                let text = ended.to_string();
                self.broken.set(ended);
                Err(io::Error::other(text))
            }
        }
    }
}

impl Broken {
    fn set(&self, ended: Ended) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
    }

    fn take(&self) -> Option<Ended> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
