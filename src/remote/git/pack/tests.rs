use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::super::object::IdHasher;
use super::*;

/// Kinds as a pack writes them.
const TREE: u8 = 2;
const BLOB: u8 = 3;
const ON_OFFSET: u8 = 6;
const ON_ID: u8 = 7;

struct PackBytes(Vec<u8>, u32);

impl PackBytes {
    fn new() -> Self {
        Self(Vec::new(), 0)
    }

    /// Adds an object of less than 2048 bytes; returns where it begins.
    fn add(&mut self, kind: u8, base: &[u8], bytes: &[u8]) -> u64 {
        let offset = HEADER_BYTES_OF_PACK + self.0.len() as u64;
        let size = bytes.len();
        self.0.push(0x80 | (kind << 4) | (size & 0x0f) as u8);
        self.0.push((size >> 4) as u8);
        self.0.extend_from_slice(base);
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        self.0.extend(encoder.finish().unwrap());
        self.1 += 1;
        offset
    }

    fn bytes(&self) -> Vec<u8> {
        let mut whole = b"PACK\0\0\0\x02".to_vec();
        whole.extend(self.1.to_be_bytes());
        whole.extend(&self.0);
        whole.extend([9; ObjectId::BYTES]);
        whole
    }

    fn read(&self) -> io::Result<Pack> {
        self.read_within(LIMITS)
    }

    fn read_within(&self, limits: Limits) -> io::Result<Pack> {
        read(&self.bytes(), limits)
    }
}

const HEADER_BYTES_OF_PACK: u64 = 12;

fn read(bytes: &[u8], limits: Limits) -> io::Result<Pack> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Pack::read_within(file, limits, &CancellationToken::new())
}

fn problem(bytes: &PackBytes) -> String {
    bytes.read().err().expect("refused").to_string()
}

/// A pack of one file, and of one tree that has it under these names.
pub(in super::super) fn pack_of_a_tree(names: &[&str], file: &[u8]) -> (Pack, ObjectId) {
    let mut bytes = PackBytes::new();
    bytes.add(BLOB, &[], file);
    let blob = IdHasher::id_of(ObjectKind::Blob, file).unwrap();
    let entry = |name: &&str| [format!("100644 {name}\0").as_bytes(), blob.as_bytes()].concat();
    let tree = names.iter().flat_map(entry).collect::<Vec<u8>>();
    bytes.add(TREE, &[], &tree);
    let tree = IdHasher::id_of(ObjectKind::Tree, &tree).unwrap();
    (bytes.read().unwrap(), tree)
}

/// Takes all of a base of `base` bytes (below 128) and adds `new`.
fn delta(base: usize, new: &[u8]) -> Vec<u8> {
    let mut delta = vec![base as u8, (base + new.len()) as u8];
    delta.extend([0b1001_0000, base as u8, new.len() as u8]);
    delta.extend(new);
    delta
}

fn blob(pack: &Pack, bytes: &[u8]) -> Vec<u8> {
    let id = IdHasher::id_of(ObjectKind::Blob, bytes).unwrap();
    let mut found = Vec::new();
    pack.copy_blob(&id, |piece| {
        found.extend_from_slice(piece);
        Ok(())
    })
    .unwrap();
    assert_eq!(pack.get(&id, ObjectKind::Blob).unwrap(), found);
    found
}

#[test]
fn objects_are_found_by_what_they_are_however_they_are_written() {
    let mut bytes = PackBytes::new();
    let first = bytes.add(BLOB, &[], b"base");
    let second = bytes.add(ON_OFFSET, &[(HEADER_BYTES_OF_PACK as u8).max(1)], &[]);
    assert!(bytes.read().is_err(), "a delta on the header of the pack");
    let mut bytes = PackBytes::new();
    assert_eq!(bytes.add(BLOB, &[], b"base"), first);
    let distance = (second - first) as u8;
    let on_base = bytes.add(ON_OFFSET, &[distance], &delta(4, b"+1"));
    // Stands on a delta that comes after it in the file.
    let name = IdHasher::id_of(ObjectKind::Blob, b"base+1+2").unwrap();
    bytes.add(ON_ID, name.as_bytes(), &delta(8, b"+3"));
    let distance = HEADER_BYTES_OF_PACK + bytes.0.len() as u64 - on_base;
    bytes.add(ON_OFFSET, &[distance as u8], &delta(6, b"+2"));
    let pack = bytes.read().unwrap();
    for text in [&b"base"[..], b"base+1", b"base+1+2", b"base+1+2+3"] {
        assert_eq!(blob(&pack, text), text);
    }
    assert_eq!(pack.sorted().len(), 4);
    assert_eq!(pack.checksum.as_bytes(), [9; ObjectId::BYTES]);
}

#[test]
fn a_pack_that_lies_is_refused() {
    let mut larger = PackBytes::new();
    larger.add(BLOB, &[], b"12345");
    larger.0[0] -= 1;
    assert!(problem(&larger).contains("larger than it says"));
    larger.0[0] += 2;
    assert!(problem(&larger).contains("smaller than it says"));
    let mut without_base = PackBytes::new();
    without_base.add(ON_ID, &[7; 20], &delta(4, b"x"));
    assert!(problem(&without_base).contains("base is not in the pack"));
    let mut before = PackBytes::new();
    before.add(ON_OFFSET, &[100], &delta(4, b"x"));
    assert!(problem(&before).contains("outside of the pack"));
    let mut unknown = PackBytes::new();
    unknown.add(5, &[], b"x");
    assert!(problem(&unknown).contains("kind 5"));
    let mut missing = PackBytes::new();
    missing.add(BLOB, &[], b"x");
    missing.1 = u32::MAX;
    assert!(missing.read().is_err());
}

/// A chain of deltas, each of which adds a byte, and beside each another that adds another byte.
fn comb(levels: usize) -> PackBytes {
    let mut bytes = PackBytes::new();
    let mut base = bytes.add(BLOB, &[], b"0");
    for level in 1..=levels {
        let distance = |bytes: &PackBytes| HEADER_BYTES_OF_PACK + bytes.0.len() as u64 - base;
        let beside = distance(&bytes);
        bytes.add(ON_OFFSET, &[beside as u8], &delta(level, b"x"));
        let on = distance(&bytes);
        base = bytes.add(ON_OFFSET, &[on as u8], &delta(level, b"0"));
    }
    bytes
}

#[test]
fn bases_that_were_dropped_are_put_together_again() {
    let limits = Limits {
        held_bytes: 0,
        ..LIMITS
    };
    let pack = comb(40).read_within(limits).unwrap();
    for level in 1..=40 {
        let beside = ["0".repeat(level), "x".to_owned()].concat();
        assert_eq!(blob(&pack, beside.as_bytes()), beside.as_bytes());
    }
}

#[test]
fn a_pack_beyond_its_limits_is_refused() {
    let problem = |limits| {
        comb(40)
            .read_within(limits)
            .err()
            .expect("refused")
            .to_string()
    };
    let delta_depth = 39;
    assert!(
        problem(Limits {
            delta_depth,
            ..LIMITS
        })
        .contains("without end")
    );
    assert!(
        problem(Limits {
            objects: 80,
            ..LIMITS
        })
        .contains("a pack of 81 objects")
    );
    assert!(
        problem(Limits {
            file_bytes: 20,
            ..LIMITS
        })
        .contains("bytes")
    );
    assert!(
        comb(40)
            .read_within(Limits {
                other_bytes: 20,
                objects: 81,
                delta_depth: 40,
                ..LIMITS
            })
            .is_ok()
    );
    let pack = comb(4).read().unwrap();
    let id = IdHasher::id_of(ObjectKind::Blob, b"0000x").unwrap();
    assert!(pack.get_within(&id, ObjectKind::Blob, 5).is_ok());
    assert!(pack.get_within(&id, ObjectKind::Blob, 4).is_err());
}

#[test]
fn reading_ends_when_somebody_asks_for_it() {
    let stop = CancellationToken::new();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&comb(4).bytes()).unwrap();
    let pack = Pack::read(file.try_clone().unwrap(), &stop).unwrap();
    stop.cancel();
    let id = IdHasher::id_of(ObjectKind::Blob, b"0").unwrap();
    assert!(pack.copy_blob(&id, |_| Ok(())).is_err());
    let error = Pack::read(file, &stop).err().expect("ended");
    assert_eq!(error.to_string(), "stopped");
}

proptest! {
    #[test]
    fn no_pack_panics(place in 0..200_usize, byte in any::<u8>()) {
        let mut bytes = PackBytes::new();
        let first = bytes.add(BLOB, &[], b"a base of a few bytes");
        let distance = HEADER_BYTES_OF_PACK + bytes.0.len() as u64 - first;
        bytes.add(ON_OFFSET, &[distance as u8], &delta(21, b"and more"));
        let mut bytes = bytes.bytes();
        let place = place % bytes.len();
        bytes[place] = byte;
        if let Ok(pack) = read(&bytes, LIMITS) {
            for (id, _) in pack.sorted() {
                let _ = pack.find(&id);
            }
        }
    }
}
