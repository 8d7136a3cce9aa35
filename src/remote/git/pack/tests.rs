use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::*;

/// Kinds as a pack writes them.
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
        read(&self.bytes())
    }
}

const HEADER_BYTES_OF_PACK: u64 = 12;

fn read(bytes: &[u8]) -> io::Result<Pack> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Pack::read(file)
}

fn problem(bytes: &PackBytes) -> String {
    bytes.read().err().expect("refused").to_string()
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
        if let Ok(pack) = read(&bytes) {
            for (id, _) in pack.sorted() {
                let _ = pack.find(&id);
            }
        }
    }
}
