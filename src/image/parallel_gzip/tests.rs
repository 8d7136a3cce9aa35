use std::io::Read;

use super::*;

/// Bytes that compress somewhat and repeat over block borders.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let word = format!("{:x} ", (state >> 16) % 4096);
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn gzip(input: &[u8], level: u32, threads: usize, piece: usize) -> Vec<u8> {
    let mut writer = ParallelGzip::new(Vec::new(), level, threads);
    for bytes in input.chunks(piece) {
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
    }
    writer.finish().unwrap()
}

fn gunzip(compressed: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    // Reads one member: the whole must be one.
    flate2::read::GzDecoder::new(compressed)
        .read_to_end(&mut output)
        .unwrap();
    output
}

#[test]
fn the_bytes_do_not_depend_on_threads_runs_or_the_size_of_writes() {
    let input = sample(BLOCK_BYTES * 9 + 1234);
    for level in [1, 4, 6] {
        let expected = gzip(&input, level, 1, input.len());
        for (threads, piece) in [(1, 777), (2, 100_000), (2, 512), (4, 1 << 20), (4, 1 << 20)] {
            let found = gzip(&input, level, threads, piece);
            assert!(
                found == expected,
                "level {level}, {threads} threads, pieces of {piece}"
            );
        }
    }
}

#[test]
fn it_decompresses_to_its_input_at_every_border() {
    let around = |length: usize| [length - 1, length, length + 1];
    let lengths = [
        vec![0, 1],
        around(BLOCK_BYTES).to_vec(),
        around(BLOCK_BYTES * 3).to_vec(),
    ];
    for length in lengths.concat() {
        for level in [0, 1, 4, 9] {
            let input = sample(length);
            assert!(
                gunzip(&gzip(&input, level, 2, 65_536)) == input,
                "{length}, level {level}"
            );
        }
    }
}

#[test]
fn runs_of_zeros_are_the_same_as_if_they_were_compressed_each_time() {
    let mut input = sample(1000);
    input.resize(BLOCK_BYTES * 8, 0);
    input.extend_from_slice(&sample(1000));
    input.resize(BLOCK_BYTES * 12, 0);
    let compressed = gzip(&input, 4, 2, 1 << 20);
    assert!(gunzip(&compressed) == input);
    // One thread has a memory of zeros from its first such block on, four threads have four.
    assert!(compressed == gzip(&input, 4, 1, 1 << 20));
    assert!(compressed == gzip(&input, 4, 4, 1 << 20));
}

#[test]
fn what_cannot_be_compressed_grows_little() {
    let mut state = 7_u64;
    let input: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(0x5851_f42d_4c95_7f2d)
            .wrapping_add(0x1405_7b7e_f767_814f);
        (state >> 56) as u8
    })
    .take(BLOCK_BYTES * 3)
    .collect();
    let compressed = gzip(&input, 6, 2, 1 << 20);
    assert!(gunzip(&compressed) == input);
    assert!(compressed.len() < input.len() + input.len() / 1000);
}

#[test]
fn a_block_refers_back_into_the_one_before() {
    let unit = sample(WINDOW_BYTES / 2);
    let input = unit.repeat(BLOCK_BYTES / unit.len() * 8);
    let alone = gzip(&input[..BLOCK_BYTES], 4, 1, 1 << 20).len();
    let whole = gzip(&input, 4, 1, 1 << 20).len();
    // Without the dictionary every block would cost what the first does.
    assert!(
        whole < alone * 4,
        "{whole} for eight blocks, {alone} for one"
    );
}

#[test]
fn the_header_has_no_time_no_name_and_no_system() {
    // RFC 1952, section 2.3: magic, deflate, no flags, time 0, extra flags, system 255.
    for (level, extra_flags) in [(1, 4), (4, 0), (9, 2)] {
        let expected = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra_flags, 255];
        assert_eq!(gzip(b"x", level, 1, 1)[..10], expected);
    }
}

#[test]
fn a_failing_output_is_an_error_and_its_threads_end() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = ParallelGzip::new(Full, 4, 2);
    let error = writer.write_all(&sample(BLOCK_BYTES * 20)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}
