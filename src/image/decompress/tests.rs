use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::image::digest::Digest;

fn sample() -> Vec<u8> {
    (0..600_000_u32)
        .flat_map(|n| (n / 7).to_le_bytes())
        .collect()
}

fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Compression::Zstd => {
            let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
            // Without it the format has nothing to tell damage by.
            writer.include_checksum(true).unwrap();
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut writer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
        Compression::Xz => {
            let mut writer = liblzma::write::XzEncoder::new(Vec::new(), 0);
            writer.write_all(bytes).unwrap();
            writer.finish().unwrap()
        }
    }
}

const ALL: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Zstd,
    Compression::Bzip2,
    Compression::Xz,
];

#[test]
fn each_compression_is_told_from_its_first_bytes_and_read_back() {
    let bytes = sample();
    for compression in ALL {
        let stored = compress(&bytes, compression);
        let (detected, mut whole) = Compression::detect(&stored[..]).unwrap();
        assert_eq!(detected, compression);
        let mut again = Vec::new();
        whole.read_to_end(&mut again).unwrap();
        assert!(again == stored, "{compression:?} lost its head");
        let mut decoder = Decoder::new(&stored[..], compression).unwrap();
        let mut out = Vec::new();
        decoder.read_to_end(&mut out).unwrap();
        assert!(out == bytes, "{compression:?}");
    }
}

#[test]
fn several_members_or_frames_are_one_stream() {
    for compression in ALL {
        let mut stored = compress(b"first ", compression);
        stored.extend(compress(b"second", compression));
        let mut text = String::new();
        let mut decoder = Decoder::new(&stored[..], compression).unwrap();
        decoder.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first second", "{compression:?}");
    }
}

#[test]
fn a_zstd_stream_may_begin_with_a_skippable_frame() {
    let mut stored = vec![0x5f, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 0xaa, 0xbb];
    stored.extend(compress(b"text", Compression::Zstd));
    assert_eq!(Compression::of_head(&stored), Compression::Zstd);
    let mut text = String::new();
    let mut decoder = Decoder::new(&stored[..], Compression::Zstd).unwrap();
    decoder.read_to_string(&mut text).unwrap();
    assert_eq!(text, "text");
}

#[test]
fn the_thread_hands_over_everything_and_the_diff_id_is_of_the_uncompressed_bytes() {
    let bytes = sample();
    for compression in ALL {
        let stored = compress(&bytes, compression);
        let mut layer = LayerDecompressor::spawn(io::Cursor::new(stored), compression).unwrap();
        let mut head = vec![0; 1000];
        layer.read_exact(&mut head).unwrap();
        assert_eq!(head, bytes[..1000]);
        let diff_id = layer.finish().unwrap();
        assert_eq!(diff_id.as_digest(), &Digest::of(&bytes), "{compression:?}");
    }
}

#[test]
fn a_truncated_or_damaged_stream_is_an_error_that_names_its_compression() {
    let bytes = sample();
    for compression in ALL.into_iter().skip(1) {
        let stored = compress(&bytes, compression);
        let cut = stored[..stored.len() - 6].to_vec();
        let mut flipped = stored.clone();
        for byte in &mut flipped[stored.len() / 2..stored.len() / 2 + 64] {
            *byte ^= 0x55;
        }
        for (what, bad) in [("cut", cut), ("flipped", flipped)] {
            let stream = Decompressor::spawn(io::Cursor::new(bad), compression).unwrap();
            let Err(error) = stream.finish() else {
                panic!("{compression:?}, {what}: no error");
            };
            let DecompressError::Damaged {
                compression: named, ..
            } = error
            else {
                panic!("{compression:?}: {error:?}");
            };
            assert_eq!(named, compression);
        }
    }
}

#[test]
fn an_error_of_the_source_arrives_as_what_it_is() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "line cut"))
        }
    }
    for compression in ALL {
        let stream = Decompressor::spawn(Broken, compression).unwrap();
        let error = stream.finish().unwrap_err();
        let DecompressError::Read(source) = &error else {
            panic!("{compression:?}: {error:?}");
        };
        assert!(format!("{source:?}").contains("line cut"), "{source:?}");
    }
}

#[test]
fn dropping_the_stream_early_ends_its_thread() {
    struct Endless(Arc<AtomicU64>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            buffer.fill(7);
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(buffer.len())
        }
    }
    let reads = Arc::new(AtomicU64::new(0));
    let mut stream = Decompressor::spawn(Endless(reads.clone()), Compression::None).unwrap();
    stream.read_exact(&mut [0; 10]).unwrap();
    drop(stream);
    // The source lives in the thread: when the thread has ended, only our handle is left.
    let deadline = Instant::now() + Duration::from_secs(30);
    while Arc::strong_count(&reads) > 1 {
        assert!(Instant::now() < deadline, "the thread still runs");
        std::thread::yield_now();
    }
}

#[test]
fn when_the_end_is_reached_the_source_was_read_to_its_end_and_dropped() {
    struct Counted(io::Cursor<Vec<u8>>, Arc<AtomicU64>);
    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.0.read(buffer)?;
            self.1.fetch_add(count as u64, Ordering::SeqCst);
            Ok(count)
        }
    }
    let bytes = sample();
    for compression in ALL {
        let stored = compress(&bytes, compression);
        let (length, count) = (stored.len() as u64, Arc::new(AtomicU64::new(0)));
        let source = Counted(io::Cursor::new(stored), Arc::clone(&count));
        let layer = LayerDecompressor::spawn(source, compression).unwrap();
        layer.finish().unwrap();
        let count = Arc::into_inner(count).expect("the source is gone");
        assert_eq!(count.into_inner(), length, "{compression:?}");
    }
}

#[test]
fn an_xz_stream_that_asks_for_too_much_memory_is_refused() {
    let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
    options.dict_size(1 << 29);
    let mut filters = liblzma::stream::Filters::new();
    filters.lzma2(&options);
    let check = liblzma::stream::Check::Crc32;
    let stream = liblzma::stream::Stream::new_stream_encoder(&filters, check).unwrap();
    let mut writer = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    writer.write_all(b"small").unwrap();
    let stored = writer.finish().unwrap();
    let mut decoder = Decoder::new(&stored[..], Compression::Xz).unwrap();
    assert!(decoder.read_to_end(&mut Vec::new()).is_err());
}
