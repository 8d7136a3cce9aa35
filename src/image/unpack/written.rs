//! What a layer has brought so far, so that its whiteouts delete only what was there before it.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::Form;

/// The paths that this layer has written, kept as keyed hashes: a few bytes each, whatever the names.
/// Always empty in forms that do not ask.
#[derive(Debug)]
pub(super) struct Written {
    is_kept: bool,
    /// Keyed at random: nobody can make two names meet, and by chance two of a million do so once in
    /// tens of millions of layers.
    hasher: RandomState,
    marks: HashMap<u64, Mark>,
}

/// What is known of one path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// An entry has this name; otherwise something of the layer lies below it.
    pub(super) is_entry: bool,
    /// What the layers below had in this directory is gone already.
    pub(super) is_pruned: bool,
}

impl Written {
    pub(super) fn for_form(form: Form) -> Self {
        Self {
            is_kept: match form {
                Form::Tree => true,
                Form::OverlayLayer(_) | Form::Archive => false,
            },
            hasher: RandomState::new(),
            marks: HashMap::new(),
        }
    }

    /// Returns what is known of `path`. `None` where the layer has nothing there.
    pub(super) fn mark(&self, path: &[u8]) -> Option<Mark> {
        self.marks.get(&self.hasher.hash_one(path)).copied()
    }

    pub(super) fn note_entry(&mut self, path: &[u8]) {
        if self.is_kept {
            self.mark_mut(path).is_entry = true;
            self.note_ancestors(path);
        }
    }

    /// Notes a directory that something of the layer lies in.
    pub(super) fn note_dir(&mut self, path: &[u8]) {
        if self.is_kept && !path.is_empty() {
            self.mark_mut(path);
            self.note_ancestors(path);
        }
    }

    pub(super) fn note_pruned(&mut self, path: &[u8]) {
        if self.is_kept {
            self.mark_mut(path).is_pruned = true;
        }
    }

    fn note_ancestors(&mut self, path: &[u8]) {
        let mut rest = path;
        while let Some(slash) = rest.iter().rposition(|byte| *byte == b'/') {
            rest = &rest[..slash];
            let hash = self.hasher.hash_one(rest);
            if self.marks.contains_key(&hash) {
                // Whoever marked it marked those above it.
                return;
            }
            self.marks.insert(hash, Mark::default());
        }
    }

    fn mark_mut(&mut self, path: &[u8]) -> &mut Mark {
        let hash = self.hasher.hash_one(path);
        self.marks.entry(hash).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_marks_itself_and_what_it_lies_in() {
        let mut written = Written::for_form(Form::Tree);
        written.note_entry(b"a/b/c");
        written.note_entry(b"a/b");
        assert!(written.mark(b"a/b/c").unwrap().is_entry);
        assert!(written.mark(b"a/b").unwrap().is_entry);
        assert!(!written.mark(b"a").unwrap().is_entry);
        assert_eq!(written.mark(b"a/b/c/d"), None);
        assert_eq!(written.mark(b"b"), None);
    }
}
