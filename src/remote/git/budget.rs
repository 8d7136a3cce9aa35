//! What one source may come to, its submodules and theirs together. This module counts, and knows no bytes.

/// Submodules, each of which costs a fetch. The largest collections have some hundred.
const SUBMODULES_MAX: usize = 4096;

/// Files and directories: trees that hold each other could say any number with a few bytes.
const ENTRIES_MAX: usize = 10_000_000;

/// Bytes of files: so could a file that is there under many names.
const BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// What is left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    submodules: usize,
    entries: usize,
    bytes: u64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            submodules: SUBMODULES_MAX,
            entries: ENTRIES_MAX,
            bytes: BYTES_MAX,
        }
    }

    /// Takes one more submodule; says what is wrong where there are too many.
    pub(super) fn submodule(&mut self) -> Result<(), &'static str> {
        let left = self.submodules.checked_sub(1);
        self.submodules = left.ok_or("there are too many submodules")?;
        Ok(())
    }

    /// Takes one more file or directory.
    pub(super) fn entry(&mut self) -> Result<(), &'static str> {
        let left = self.entries.checked_sub(1);
        self.entries = left.ok_or("there are too many entries")?;
        Ok(())
    }

    /// Takes bytes of a file.
    pub(super) fn bytes(&mut self, count: usize) -> Result<(), &'static str> {
        let left = self.bytes.checked_sub(count as u64);
        self.bytes = left.ok_or("the files are too large together")?;
        Ok(())
    }
}

#[cfg(test)]
impl Budget {
    /// Any number of submodules.
    pub(super) fn of(entries: usize, bytes: u64) -> Self {
        Self {
            entries,
            bytes,
            ..Self::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone() {
        let mut budget = Budget {
            submodules: 1,
            entries: 1,
            bytes: 10,
        };
        assert!(budget.submodule().is_ok() && budget.submodule().is_err());
        assert!(budget.entry().is_ok() && budget.entry().is_err());
        assert!(budget.bytes(6).is_ok() && budget.bytes(6).is_err() && budget.bytes(4).is_ok());
    }
}
