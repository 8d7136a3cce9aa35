use super::*;

fn copy(line: &str) -> CopyInstruction {
    match one(line) {
        Instruction::Copy(copy) => copy,
        other => panic!("{line} is {other:?}"),
    }
}

#[test]
fn copy_and_add_have_all_their_flags() {
    let found = copy(
        "COPY --from=s --chown=1:2 --chmod=755 --link --parents --exclude=a --exclude=b c d /e",
    );
    assert_eq!(found.from.as_deref(), Some("s"));
    assert_eq!(found.chown.as_deref(), Some("1:2"));
    assert_eq!(found.chmod.as_deref(), Some("755"));
    assert!(found.link && found.parents);
    assert_eq!(found.exclude, ["a", "b"]);
    assert_eq!(found.sources.paths, ["c", "d"]);
    assert_eq!(found.sources.destination, "/e");
    let Instruction::Add(add) =
        one("ADD --checksum=x --keep-git-dir --unpack=false --link=false a b")
    else {
        panic!("no ADD");
    };
    assert_eq!(add.checksum.as_deref(), Some("x"));
    assert_eq!(
        (add.keep_git_dir, add.unpack, add.link),
        (Some(true), Some(false), false)
    );
}

#[test]
fn inline_files_are_told_from_paths() {
    let found = copy("COPY a <<-'one' <<two /d/\n\t\tx $y\n\tone\nz\ntwo\n");
    assert_eq!(found.sources.paths, ["a"]);
    let file = |name: &str, content: &str, expand| InlineFile {
        name: name.to_owned(),
        content: content.to_owned(),
        expand,
    };
    assert_eq!(
        found.sources.files,
        [file("one", "x $y\n", false), file("two", "z\n", true)]
    );
}

#[test]
fn a_file_named_twice_has_the_last_content_and_is_one_file() {
    let found = copy("COPY <<a <<b <<'a' /d/\n1\na\n2\nb\n3\na\n")
        .sources
        .files;
    let found: Vec<_> = found
        .iter()
        .map(|file| (file.name.as_str(), file.content.as_str(), file.expand))
        .collect();
    assert_eq!(found, [("a", "3\n", false), ("b", "2\n", true)]);
}

#[test]
fn in_the_json_form_a_heredoc_sign_makes_an_empty_file() {
    let found = copy("COPY [\"<<a\", \"/d\"]").sources;
    assert_eq!(
        (found.paths.len(), found.files[0].content.as_str()),
        (0, "")
    );
}

#[test]
fn very_many_here_documents_are_read() {
    let names: Vec<String> = (0..50_000).map(|number| format!("f{number}")).collect();
    let signs: Vec<String> = names.iter().map(|name| format!("<<{name} \\\n")).collect();
    let bodies: Vec<String> = names.iter().map(|name| format!("x\n{name}\n")).collect();
    let found = copy(&format!("COPY {}/d/\n{}", signs.concat(), bodies.concat()));
    assert_eq!(found.sources.files.len(), 50_000);

    // One document of two megabytes, named a hundred thousand times.
    let signs = "<<f \\\n".repeat(100_000);
    let bodies = "f\n".repeat(99_999) + &"x\n".repeat(1_000_000) + "f\n";
    let found = copy(&format!("COPY {signs}/d/\n{bodies}"));
    assert_eq!(found.sources.files[0].content.len(), 2_000_000);
}

#[test]
fn of_copy_all_but_from_and_exclude_is_expanded() {
    let lookup = |name: &str| (name == "V").then(|| "1".to_owned());
    let line =
        "COPY --chown=$V --chmod=$V --exclude=$V \"a$V\" <<A <<'B' /$V/\nit's $V\nA\n$V\nB\n";
    let mut expander = Expander::new('\\', &lookup);
    let Instruction::Copy(found) = one(line).expand(&mut expander).unwrap() else {
        panic!("no COPY");
    };
    assert_eq!(
        (found.chown.as_deref(), found.chmod.as_deref()),
        (Some("1"), Some("1"))
    );
    assert_eq!(found.exclude, ["$V"]);
    assert_eq!(found.sources.paths, ["a1"]);
    assert_eq!(found.sources.destination, "/1/");
    assert_eq!(found.sources.files[0].content, "it's 1\n");
    assert_eq!(found.sources.files[1].content, "$V\n");
}
