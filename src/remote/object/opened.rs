//! An object that is asked for: what its store answers, and what a failure was about.

use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, ObjectStoreExt, RetryConfig};
use reqwest::Method;
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;
use url::Url;

use super::super::error::RemoteError;
use super::super::web::Web;
use super::transport::{Failure, Transport, Words};
use super::{ObjectError, ObjectSource, Store, azure, gcs, s3};
use crate::http::Call;
use crate::http::options::RetryPolicy;

/// A store that is ready to be asked.
pub(super) struct Opened {
    pub(super) store: Arc<dyn ObjectStore>,
    /// Which credentials there are, in words.
    pub(super) tried: String,
    pub(super) hint: &'static str,
}

/// An object that arrives.
pub(in crate::remote) struct Arriving {
    pub(in crate::remote) call: Box<Call>,
    pub(in crate::remote) body: Box<dyn AsyncRead + Send + Unpin>,
}

impl ObjectSource {
    /// Asks for the object. A connection that breaks while it arrives is taken up where it broke, if the store says which
    /// state of the object it is.
    pub(in crate::remote) async fn request(&self, web: &Arc<Web>) -> Result<Arriving, RemoteError> {
        let key = Path::parse(&self.key).map_err(|source| ObjectError::Key {
            key: self.key.clone(),
            source: Box::new(source),
        })?;
        let transport = Transport::new(Arc::clone(web));
        let opened = self.open(web, transport.clone()).await?;
        let answer = opened.store.get(&key).await;
        let answer = answer.map_err(|error| opened.explain(transport.last_failure(), error))?;
        let pieces = answer.into_stream();
        let noted = transport.clone();
        let pieces = pieces.map_err(move |error| std::io::Error::other(noted.words_of(&error)));
        Ok(Arriving {
            call: transport.last_call().unwrap_or_else(|| self.shown_call()),
            body: Box::new(StreamReader::new(pieces)),
        })
    }

    async fn open(&self, web: &Web, transport: Transport) -> Result<Opened, ObjectError> {
        let variables = &web.options.object_stores;
        let retry = retry_config(&web.options.retry);
        match &self.store {
            Store::S3 => s3::open(&self.bucket, web, transport, retry).await,
            Store::Gcs => gcs::open(&self.bucket, web, transport, retry).await,
            Store::Azure { host } => azure::open(host, &self.bucket, variables, transport, retry),
        }
    }

    fn shown_call(&self) -> Box<Call> {
        let nowhere = Url::parse("http://invalid/").expect("a constant URL");
        let url = Url::parse(&self.to_string()).unwrap_or(nowhere);
        Box::new(Call::new(&Method::GET, &url))
    }
}

impl Opened {
    /// Says what went wrong in words of ours: those of the crate may hold what a server sent back.
    fn explain(&self, failure: Option<Failure>, error: object_store::Error) -> RemoteError {
        match failure {
            None => ObjectError::settings(error).into(),
            Some(Failure::Transport(error)) => *error,
            Some(Failure::Answer { call, status, .. }) if status.is_success() => {
                let source = Words::of(&error).into();
                ObjectError::Protocol { call, source }.into()
            }
            Some(Failure::Answer { call, status, code }) => ObjectError::Refused {
                call,
                status,
                code,
                tried: self.tried.clone(),
                hint: self.hint,
            }
            .into(),
        }
    }
}

/// The crate tries again by itself, within what the user allows all requests.
fn retry_config(policy: &RetryPolicy) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: policy.first_delay,
            max_backoff: policy.longest_delay,
            base: 2.0,
        },
        max_retries: policy.retries as usize,
        retry_timeout: policy.longest_retry_after,
    }
}
