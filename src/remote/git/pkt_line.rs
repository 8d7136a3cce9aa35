//! git's packets: four hexadecimal digits of length, then the bytes (git documentation, "gitprotocol-common").

use std::io::{self, Read};

use tracing::debug;

use super::error::{ServerSays, malformed};
use crate::http::Untrusted;

/// The longest packet, its length included.
const PACKET_BYTES_MAX: usize = 65520;

/// Digits of the length.
const LENGTH_DIGITS: usize = 4;

/// What stands between packets in a request.
pub(super) const FLUSH: &[u8] = b"0000";
pub(super) const DELIMITER: &[u8] = b"0001";

/// One packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Data(Vec<u8>),
    Flush,
    Delimiter,
    ResponseEnd,
}

/// Adds a packet to a request.
pub(super) fn push(request: &mut Vec<u8>, text: &[u8]) -> io::Result<()> {
    let length = text.len() + LENGTH_DIGITS;
    if length > PACKET_BYTES_MAX {
        return Err(malformed("a path or name that is too long to ask for"));
    }
    request.extend_from_slice(format!("{length:04x}").as_bytes());
    request.extend_from_slice(text);
    Ok(())
}

/// Reads a packet. What the server says in place of an answer (`ERR`) is an error.
pub(super) fn read(reader: &mut impl Read) -> io::Result<Packet> {
    let mut digits = [0; LENGTH_DIGITS];
    reader.read_exact(&mut digits)?;
    let text = std::str::from_utf8(&digits).ok();
    // `from_str_radix` takes a sign too.
    let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let length = text.and_then(|text| usize::from_str_radix(text, 16).ok());
    let length = match length {
        Some(0) => return Ok(Packet::Flush),
        Some(1) => return Ok(Packet::Delimiter),
        Some(2) => return Ok(Packet::ResponseEnd),
        Some(length @ LENGTH_DIGITS..=PACKET_BYTES_MAX) => length,
        _ => return Err(malformed("no packet where one was expected")),
    };
    let mut bytes = vec![0; length - LENGTH_DIGITS];
    reader.read_exact(&mut bytes)?;
    if let Some(words) = bytes.strip_prefix(b"ERR ") {
        return Err(server_says(words));
    }
    Ok(Packet::Data(bytes))
}

/// Reads lines up to a flush or a delimiter, without the line feeds; says which it was.
pub(super) fn read_lines(
    reader: &mut impl Read,
    mut line: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<Packet> {
    loop {
        match read(reader)? {
            Packet::Data(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                line(text.strip_suffix('\n').unwrap_or(&text))?;
            }
            other => return Ok(other),
        }
    }
}

/// The bytes of a pack among what else the server has to say.
pub(super) struct Sideband<R> {
    inner: R,
    piece: Vec<u8>,
    taken: usize,
    is_done: bool,
}

impl<R: Read> Sideband<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            piece: Vec::new(),
            taken: 0,
            is_done: false,
        }
    }

    /// Reads packets up to the next with bytes of the pack.
    fn next_piece(&mut self) -> io::Result<()> {
        loop {
            let bytes = match read(&mut self.inner)? {
                Packet::Data(bytes) => bytes,
                Packet::Flush | Packet::Delimiter | Packet::ResponseEnd => {
                    self.is_done = true;
                    return Ok(());
                }
            };
            match bytes.split_first() {
                Some((1, [])) => {}
                Some((1, _)) => {
                    (self.piece, self.taken) = (bytes, 1);
                    return Ok(());
                }
                Some((2, words)) => {
                    debug!("git server: {}", Untrusted(&String::from_utf8_lossy(words)));
                }
                Some((3, words)) => return Err(server_says(words)),
                Some(_) | None => return Err(malformed("a packet of no known band")),
            }
        }
    }
}

impl<R: Read> Read for Sideband<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.piece.len() && !self.is_done {
            self.next_piece()?;
        }
        let rest = match self.is_done {
            true => &[],
            false => &self.piece[self.taken..],
        };
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

fn server_says(words: &[u8]) -> io::Error {
    let words = String::from_utf8_lossy(words);
    io::Error::other(ServerSays(Untrusted(&words).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn packets_are_read_and_errors_of_the_server_are_errors() {
        let mut request = Vec::new();
        push(&mut request, b"want x\n").unwrap();
        assert!(push(&mut request, &[b'x'; 65517]).is_err());
        request.extend_from_slice(DELIMITER);
        request.extend_from_slice(FLUSH);
        let mut reader = request.as_slice();
        assert_eq!(
            read(&mut reader).unwrap(),
            Packet::Data(b"want x\n".to_vec())
        );
        assert_eq!(read(&mut reader).unwrap(), Packet::Delimiter);
        assert_eq!(read(&mut reader).unwrap(), Packet::Flush);
        assert!(read(&mut reader).is_err());
        let error = read(&mut &b"000cERR \x1b[no"[..]).unwrap_err();
        assert_eq!(error.to_string(), "[no");
        for wrong in [&b"+005a"[..], b"0003", b"fff5", b"00zz", b"<htm"] {
            assert!(read(&mut &wrong[..]).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_pack_is_what_band_one_carries() {
        let mut bytes = Vec::new();
        for piece in [&b"\x01PA"[..], b"\x02counting", b"\x01", b"\x01CK"] {
            push(&mut bytes, piece).unwrap();
        }
        bytes.extend_from_slice(FLUSH);
        let mut pack = String::new();
        Sideband::new(&bytes[..]).read_to_string(&mut pack).unwrap();
        assert_eq!(pack, "PACK");
        let mut failed = Vec::new();
        push(&mut failed, b"\x03out of memory").unwrap();
        let error = Sideband::new(&failed[..])
            .read_to_string(&mut pack)
            .unwrap_err();
        assert_eq!(error.to_string(), "out of memory");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = Sideband::new(&bytes[..]).read_to_end(&mut Vec::new());
        }
    }
}
