//! Long work on files that ends once that is wished, so that whoever does it can still tidy up.
//! This module knows the wish, not who has it.

use std::io::{self, BufRead, Read, Write};

use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// Somebody wished that the work end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the work was stopped")]
pub struct Halted;

/// Fails once the wish was made.
pub fn go_on(halt: &CancellationToken) -> io::Result<()> {
    match halt.is_cancelled() {
        true => Err(io::Error::other(Halted)),
        false => Ok(()),
    }
}

/// A file or stream that cannot be read or written any more once the wish was made.
#[derive(Debug)]
pub struct Halting<T> {
    inner: T,
    halt: CancellationToken,
}

impl<T> Halting<T> {
    /// Asks `halt` before each piece that goes through `inner`.
    pub fn new(inner: T, halt: &CancellationToken) -> Self {
        let halt = halt.clone();
        Self { inner, halt }
    }
}

impl<T: Read> Read for Halting<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        go_on(&self.halt)?;
        self.inner.read(buffer)
    }
}

impl<T: BufRead> BufRead for Halting<T> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        go_on(&self.halt)?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

impl<T: Write> Write for Halting<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        go_on(&self.halt)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_through_after_the_wish() {
        let halt = CancellationToken::new();
        let mut reader = Halting::new(&b"text"[..], &halt);
        let mut written = Vec::new();
        let mut writer = Halting::new(&mut written, &halt);
        assert_eq!(reader.read(&mut [0; 2]).unwrap(), 2);
        writer.write_all(b"a").unwrap();
        halt.cancel();
        for error in [
            reader.read(&mut [0; 2]).unwrap_err(),
            reader.fill_buf().unwrap_err(),
            writer.write_all(b"b").unwrap_err(),
        ] {
            assert!(error.get_ref().is_some_and(|cause| cause.is::<Halted>()));
        }
        assert_eq!(written, b"a");
    }
}
