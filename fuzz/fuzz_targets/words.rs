//! Any text as a word to expand, a record of a mount, and a list of patterns with a path.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sawagani::cli::debug;
use sawagani::dockerfile::{Expander, csv_fields, parse_duration, parse_size};

fuzz_target!(|text: &str| {
    let lookup = |name: &str| (name.len() % 2 == 0).then(|| format!("{name}/a.b *"));
    for escape in ['\\', '`'] {
        let mut expander = Expander::new(escape, &lookup);
        let _ = (
            expander.word(text),
            expander.words(text),
            expander.body(text),
        );
    }
    let _ = (csv_fields(text), parse_duration(text), parse_size(text));
    let (patterns, path) = text.rsplit_once('\n').unwrap_or((text, "a/b"));
    let _ = debug::ignore(patterns.as_bytes(), path);
});
