//! Percent-encoding, read. A `%` that begins no code stands for itself.

/// Returns the bytes that `text` stands for.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let byte =
            code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                found.push(byte);
                at += 3;
            }
            None => {
                found.push(bytes[at]);
                at += 1;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_and_what_is_none_stays() {
        for (text, expected) in [
            ("a%20b", &b"a b"[..]),
            ("%e2%82%ac", "€".as_bytes()),
            ("100%", b"100%"),
            ("%zz%4", b"%zz%4"),
            ("%2F..", b"/.."),
        ] {
            assert_eq!(decoded(text), expected, "{text}");
        }
    }
}
