//! An agent of the builder's own, for keys that were given as files: it lists them and signs, and nothing else.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use ssh_agent_lib::proto::{Identity, PublicCredential, Request, Response, SignRequest};
use ssh_agent_lib::ssh_encoding::{Decode, Encode};

use super::private_key::PrivateKey;

/// What OpenSSH's own agent takes, too (authfd.h, `MAX_AGENT_REPLY_LEN`).
const REQUEST_BYTES_MAX: usize = 256 * 1024;

/// Keys, in the order in which they are offered.
#[derive(Debug)]
pub(super) struct KeyRing {
    keys: Vec<PrivateKey>,
}

impl KeyRing {
    pub(super) fn new(keys: Vec<PrivateKey>) -> Self {
        Self { keys }
    }

    /// Answers until the other side has no more requests.
    ///
    /// A message is its length as four bytes, most significant first, and as many bytes (draft-miller-ssh-agent,
    /// section 3).
    pub(super) fn serve(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut length = [0; 4];
        while read_or_end(&mut stream, &mut length)? {
            let length = u32::from_be_bytes(length) as usize;
            if length > REQUEST_BYTES_MAX {
                let message = format!("a request of {length} bytes");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            let mut request = vec![0; length];
            stream.read_exact(&mut request)?;
            let mut answer = Vec::new();
            self.answer(&request)
                .encode_prefixed(&mut answer)
                .map_err(io::Error::other)?;
            stream.write_all(&answer)?;
        }
        Ok(())
    }

    fn answer(&self, request: &[u8]) -> Response {
        match Request::decode(&mut &*request) {
            Ok(Request::RequestIdentities) => Response::IdentitiesAnswer(self.identities()),
            Ok(Request::SignRequest(request)) => self.sign(&request),
            // A step may not change what another is lent.
            Ok(_) | Err(_) => Response::Failure,
        }
    }

    fn identities(&self) -> Vec<Identity> {
        let identity = |key: &PrivateKey| Identity {
            credential: PublicCredential::Key(key.public().clone()),
            comment: key.comment().to_owned(),
        };
        self.keys.iter().map(identity).collect()
    }

    fn sign(&self, request: &SignRequest) -> Response {
        let PublicCredential::Key(public) = &request.credential else {
            return Response::Failure;
        };
        let key = self.keys.iter().find(|key| key.public() == public);
        key.and_then(|key| key.sign(&request.data, request.flags).ok())
            .map_or(Response::Failure, Response::SignResponse)
    }
}

/// Fills `bytes`; says no where the stream ends before the first of them.
fn read_or_end(stream: &mut UnixStream, bytes: &mut [u8]) -> io::Result<bool> {
    let count = loop {
        match stream.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if count > 0 {
        stream.read_exact(&mut bytes[count..])?;
    }
    Ok(count > 0)
}
