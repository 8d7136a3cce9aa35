//! What three stages cost that do not need each other and each wait for three seconds: less than two of them.
//!
//! Run as root or as a user that may make namespaces: `cargo bench --bench stages`. Needs `/bin/busybox` without shared
//! libraries. Nothing is fetched.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Each of them waits as the others do.
const STAGES: [&str; 3] = ["one", "two", "three"];

/// Builds are measured so often.
const ROUNDS: usize = 3;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    write_context(dir.path());
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let ended = Command::new(env!("CARGO_BIN_EXE_executor"))
            .args(["--no-push", "--verbosity=error", "--context"])
            .arg(dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{text}");
        println!("three stages of `sleep 3`: {:.2?}", start.elapsed());
    }
}

fn write_context(dir: &Path) {
    std::fs::copy("/bin/busybox", dir.join("busybox")).unwrap();
    let mut dockerfile = String::new();
    for stage in STAGES {
        dockerfile += &format!(
            "FROM scratch AS {stage}\nCOPY busybox /bin/\nRUN [\"/bin/busybox\", \"sleep\", \"3\"]\n"
        );
    }
    dockerfile += "FROM scratch\n";
    for stage in STAGES {
        dockerfile += &format!("COPY --from={stage} /bin/busybox /{stage}\n");
    }
    std::fs::write(dir.join("Dockerfile"), dockerfile).unwrap();
}
