//! Bytes written as text.

/// `\s` is a space, `\n` a newline, `\t` a tab, `\r` a carriage return, `\xHH` a byte, `\\` a backslash.
pub(crate) fn bytes_of(escaped: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b's') => b' ',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
                let digits = str::from_utf8(&digits).expect("digits");
                u8::from_str_radix(digits, 16).expect("a byte in hex")
            }
            other => panic!("no such escape: {other:?} in {escaped:?}"),
        });
    }
    bytes
}

/// As `bytes_of`, for what is UTF-8.
pub(crate) fn text_of(escaped: &str) -> String {
    String::from_utf8(bytes_of(escaped)).expect("UTF-8")
}
