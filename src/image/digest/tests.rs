use super::*;

// FIPS 180-4 example values: the empty message and "abc".
const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn digests_of_known_messages_are_those_of_the_standard() {
    assert_eq!(Digest::of(b"").as_str(), EMPTY);
    assert_eq!(Digest::of(b"abc").as_str(), ABC);
}

#[test]
fn pieces_hash_like_the_whole() {
    let mut hasher = DigestHasher::default();
    hasher.update(b"a");
    hasher.update(b"");
    hasher.update(b"bc");
    assert_eq!(hasher.finish().as_str(), ABC);
}

#[test]
fn sha512_is_verified_too() {
    let mut hasher = DigestHasher::new(DigestAlgorithm::Sha512);
    hasher.update(b"abc");
    let digest = hasher.finish();
    assert!(digest.as_str().starts_with("sha512:ddaf35a193617aba"));
    assert_eq!(Digest::parse(digest.as_str()).unwrap(), digest);
}

#[test]
fn what_is_not_a_digest_is_refused_with_its_text() {
    let upper = ABC.to_uppercase().replace("SHA256", "sha256");
    for text in [
        "",
        "abc",
        "sha256:",
        "sha256:abc",
        "md5:abc",
        &upper,
        &format!("{ABC}0"),
    ] {
        let error = Digest::parse(text).unwrap_err();
        assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
    }
    assert!(
        Digest::parse("sha256:../../../../../../../../../../../../../../../../../etc/passwd/////")
            .is_err()
    );
}

#[test]
fn the_hex_part_is_what_follows_the_colon() {
    assert_eq!(Digest::parse(ABC).unwrap().hex(), &ABC["sha256:".len()..]);
}

#[test]
fn a_writer_counts_and_hashes_only_what_was_accepted() {
    let mut room = [0_u8; 3];
    let mut writer = HashingWriter::new(&mut room[..]);
    let accepted = writer.write(b"abcdef").unwrap();
    assert_eq!(accepted, 3);
    let (_, digest, count) = writer.finish();
    assert_eq!((digest.as_str(), count), (ABC, 3));
}

#[test]
fn a_reader_counts_and_hashes_what_was_read() {
    let mut reader = HashingReader::new(&b"abc"[..]);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let (_, digest, count) = reader.finish();
    assert_eq!((text.as_str(), digest.as_str(), count), ("abc", ABC, 3));
}

#[test]
fn json_that_is_no_digest_is_refused() {
    assert!(serde_json::from_str::<DiffId>("\"sha256:zz\"").is_err());
    let diff_id: DiffId = serde_json::from_str(&format!("\"{ABC}\"")).unwrap();
    assert_eq!(diff_id, DiffId::new(Digest::of(b"abc")));
}
