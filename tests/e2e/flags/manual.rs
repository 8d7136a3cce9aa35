//! What helps with the words: help, completion in a real shell, man pages as a pager shows them.

use crate::support::TestDir;
use crate::support::cache_dir::text_of;
use crate::support::tool::Tool;
use std::fs;

const EXECUTOR: &str = env!("CARGO_BIN_EXE_executor");
const WARMER: &str = env!("CARGO_BIN_EXE_warmer");

fn says(program: &'static str, words: &[&str]) -> String {
    let output = Tool::new(program).args(words).output();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{words:?}: {text}");
    text
}

#[test]
fn help_is_had_in_kanikos_ways() {
    for (program, words) in [
        (EXECUTOR, &["--help"][..]),
        (EXECUTOR, &["-h"]),
        (EXECUTOR, &["help"]),
        (WARMER, &["help"]),
    ] {
        let help = says(program, words);
        assert!(
            help.contains("Usage: ") && help.contains("Examples:"),
            "{help}"
        );
    }
    let long = says(EXECUTOR, &["help"]);
    for group in [
        "Input:",
        "Output:",
        "Registries:",
        "Cache:",
        "Where steps run:",
        "Logging:",
    ] {
        assert!(long.contains(&format!("\n{group}\n")), "{group}\n{long}");
    }
    for command in [
        &["help", "lint"][..],
        &["help", "cache", "prune"],
        &["lint", "--help"],
    ] {
        assert!(
            says(EXECUTOR, command).contains("Usage: executor"),
            "{command:?}"
        );
    }
    assert!(says(EXECUTOR, &["help", "completion"]).contains("bash"));
    assert!(says(EXECUTOR, &["version"]).contains("version :  v"));
}

#[test]
fn bash_completes_flags_commands_and_values() {
    // As bash does for each key: the words so far, and the function that completes the last of them.
    let script = "source /dev/stdin\n\
                  COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n\
                  name=$(complete -p \"$1\" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')\n\
                  $name \"$1\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD-1]}\"\n\
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    let dir = TestDir::new();
    for (program, name, words, expected) in [
        (
            EXECUTOR,
            "executor",
            &["--image-name-tag"][..],
            "--image-name-tag-with-digest-file",
        ),
        (EXECUTOR, "executor", &["lin"], "lint"),
        (EXECUTOR, "executor", &["--compression", "zs"], "zstd"),
        (EXECUTOR, "executor", &["lint", "--check"], "--check-error"),
        (WARMER, "warmer", &["--cache-t"], "--cache-ttl"),
    ] {
        let file = dir.join("script");
        let source = says(program, &["completion", "bash"]);
        fs::write(&file, format!("{source}\n")).expect("write the script");
        let script = script.replace("/dev/stdin", &file.display().to_string());
        let bash = Tool::new("bash").args(["-c", &script, "bash", name]);
        let completed = bash.args(words).run();
        assert_eq!(completed.trim(), expected, "{words:?}");
    }
    for shell in ["zsh", "fish", "powershell"] {
        assert!(
            says(EXECUTOR, &["completion", shell]).contains("executor"),
            "{shell}"
        );
    }
    let wrong = Tool::new(EXECUTOR).args(["completion", "tcsh"]).output();
    assert_eq!(wrong.status.code(), Some(1), "{}", text_of(&wrong));
}

#[test]
fn the_build_writes_man_pages_and_completions_of_both_programs() {
    let dir = TestDir::new();
    let write = |name: &str| {
        let share = dir.join(name);
        let share = share.to_str().expect("UTF-8");
        says(EXECUTOR, &["debug", "docs", share]);
    };
    write("share");
    let read = |path: &str| {
        let path = dir.join("share").join(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    for (page, part) in [
        ("executor.1", "destination"),
        ("executor-lint.1", "format"),
        ("executor-cache-prune.1", "older"),
        ("warmer.1", "image"),
    ] {
        let page = read(&format!("man/man1/{page}"));
        assert!(page.contains("\n.TH ") && page.contains(part), "{page}");
    }
    // No page on what help does not show.
    assert!(!dir.join("share/man/man1/executor-debug.1").exists());
    for script in [
        "bash-completion/completions/executor",
        "bash-completion/completions/warmer",
        "zsh/site-functions/_executor",
        "fish/vendor_completions.d/warmer.fish",
        "powershell/executor.ps1",
    ] {
        assert!(!read(script).is_empty(), "{script}");
    }
    // The same each time.
    write("again");
    let compared = Tool::new("diff")
        .arg("--recursive")
        .args([dir.join("share"), dir.join("again")]);
    assert_eq!(compared.run(), "");
}
