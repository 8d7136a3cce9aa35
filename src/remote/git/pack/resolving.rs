//! The names of objects that are written as deltas. This module decides which bytes are held on the way.
//!
//! Deltas may stand on each other like a tree: each object on the way down is needed again for its next delta. What is
//! held for that has a budget; beyond it the outermost are dropped, and put together again when their turn comes.

use std::collections::HashMap;
use std::io;

use super::super::delta;
use super::super::error::malformed;
use super::super::object::{IdHasher, ObjectId, ObjectKind};
use super::{Pack, PackEntry, StoredKind, no_base};

/// An object, and the deltas on it that are still to be applied.
struct Frame {
    index: usize,
    /// `None` once dropped.
    bytes: Option<Vec<u8>>,
    pending: Vec<usize>,
    /// Deltas that it took.
    depth: usize,
}

impl Pack {
    /// Works out the names of objects that are written as deltas: from each whole object, depth first.
    pub(super) fn resolve_deltas(&mut self) -> io::Result<()> {
        let mut waiting = Waiting::of(&self.entries);
        let wholes = (0..self.entries.len()).filter_map(|index| match self.entries[index].kind {
            StoredKind::Whole(kind) => Some((index, kind)),
            StoredKind::OnOffset(_) | StoredKind::OnId(_) => None,
        });
        for (index, kind) in wholes.collect::<Vec<_>>() {
            let pending = waiting.take(&self.entries[index]);
            if !pending.is_empty() {
                let first = Frame {
                    index,
                    bytes: None,
                    pending,
                    depth: 0,
                };
                self.resolve_from(first, kind, &mut waiting)?;
            }
        }
        match self.entries.iter().all(|entry| entry.id.is_some()) {
            true => Ok(()),
            false => Err(no_base()),
        }
    }

    fn resolve_from(
        &mut self,
        first: Frame,
        kind: ObjectKind,
        waiting: &mut Waiting,
    ) -> io::Result<()> {
        let limit = self.limits.bytes_of(kind);
        let mut stack = vec![first];
        while let Some(mut frame) = stack.pop() {
            let Some(index) = frame.pending.pop() else {
                continue;
            };
            if frame.depth >= self.limits.delta_depth {
                return Err(malformed("a delta on a delta on a delta without end"));
            }
            let base = match frame.bytes.take() {
                Some(bytes) => bytes,
                None => self.object(frame.index, limit)?.1,
            };
            let delta = self.inflate(&self.entries[index], limit)?;
            let bytes = delta::apply(&base, &delta, limit)?;
            let id = IdHasher::id_of(kind, &bytes)?;
            self.entries[index].id = Some(id);
            self.by_id.entry(id).or_insert(index);
            let depth = frame.depth + 1;
            if !frame.pending.is_empty() {
                frame.bytes = Some(base);
                stack.push(frame);
            }
            let pending = waiting.take(&self.entries[index]);
            if !pending.is_empty() {
                stack.push(Frame {
                    index,
                    bytes: Some(bytes),
                    pending,
                    depth,
                });
            }
            drop_outermost(&mut stack, self.limits.held_bytes);
        }
        Ok(())
    }
}

/// Drops bytes from the bottom until what is held fits. The innermost is needed next, whatever its size.
fn drop_outermost(stack: &mut [Frame], limit: u64) {
    let size = |frame: &Frame| frame.bytes.as_ref().map_or(0, Vec::len) as u64;
    let mut held: u64 = stack.iter().map(size).sum();
    let Some((_, outer)) = stack.split_last_mut() else {
        return;
    };
    for frame in outer {
        if held <= limit {
            return;
        }
        held -= size(frame);
        frame.bytes = None;
    }
}

/// Deltas, by what they stand on.
struct Waiting {
    on_offset: HashMap<u64, Vec<usize>>,
    on_id: HashMap<ObjectId, Vec<usize>>,
}

impl Waiting {
    fn of(entries: &[PackEntry]) -> Self {
        let mut waiting = Self {
            on_offset: HashMap::new(),
            on_id: HashMap::new(),
        };
        for (index, entry) in entries.iter().enumerate() {
            match entry.kind {
                StoredKind::Whole(_) => {}
                StoredKind::OnOffset(base) => {
                    waiting.on_offset.entry(base).or_default().push(index);
                }
                StoredKind::OnId(base) => waiting.on_id.entry(base).or_default().push(index),
            }
        }
        waiting
    }

    fn take(&mut self, base: &PackEntry) -> Vec<usize> {
        let mut found = self.on_offset.remove(&base.offset).unwrap_or_default();
        let on_id = base.id.and_then(|id| self.on_id.remove(&id));
        found.extend(on_id.unwrap_or_default());
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_has_a_limit_and_the_outermost_go_first() {
        let frame = |bytes: usize| Frame {
            index: 0,
            bytes: Some(vec![0; bytes]),
            pending: vec![1],
            depth: 0,
        };
        let mut stack: Vec<Frame> = [40, 30, 20, 60].map(frame).into_iter().collect();
        drop_outermost(&mut stack, 100);
        let held: Vec<bool> = stack.iter().map(|frame| frame.bytes.is_some()).collect();
        assert_eq!(held, [false, false, true, true]);
        drop_outermost(&mut stack, 10);
        assert!(stack[2].bytes.is_none() && stack[3].bytes.is_some());
    }
}
