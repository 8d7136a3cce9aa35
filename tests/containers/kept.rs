//! An image whose push failed, in a job: it is kept, and the job's next command pushes it.

use super::call::Call;
use super::docker;
use crate::support::{Base, Registry, TestDir, check_image, registry};

/// Builds without a login, logs in, and does what the hint says.
const SCRIPT: &str = r#"
for mode in inplace chroot none; do
  code=0
  /kaniko/executor --isolation=$mode --context /workspace --dockerfile "/workspace/$mode" --skip-push-permission-check \
    --destination "$HOST/kept:$mode" 2>/builds/out/log || code=$?
  test $code = 1 || { cat /builds/out/log; exit 3; }
  hint=$(sed -n 's/^hint: \(executor push .*\) #.*/\1/p' /builds/out/log)
  test -n "$hint" || { cat /builds/out/log; exit 4; }
  /kaniko/executor login --skip-verify -u "$USERNAME" -p "$PASSWORD" "$HOST" 2>/dev/null
  $hint
  rm /kaniko/.docker/config.json
done
"#;

#[test]
fn what_a_job_could_not_push_its_next_command_pushes_in_every_mode() {
    let open = Registry::start();
    let base = Base::Busybox.push_to(&open);
    let closed = Registry::start_with_password();
    let (context, out) = (TestDir::new(), TestDir::new());
    for (mode, lines) in [
        ("inplace", "RUN echo made >/made\n"),
        ("chroot", "RUN echo made >/made\n"),
        ("none", "COPY --chown=7:8 none /made\n"),
    ] {
        let dockerfile = format!("FROM {base}\n{lines}");
        std::fs::write(context.join(mode), dockerfile).expect("write a Dockerfile");
    }
    let call = Call::script(SCRIPT)
        .env("HOST", &closed.host())
        .env("USERNAME", registry::USER)
        .env("PASSWORD", registry::PASSWORD)
        .read_only_volume(context.path(), "/workspace")
        .volume(out.path(), "/builds/out");
    let ended = docker::run(&[], &call);
    assert_eq!(ended.code(), 0, "{}{}", ended.stdout, ended.stderr);
    for mode in ["inplace", "chroot", "none"] {
        let tree = check_image(&closed, &format!("kept:{mode}"), &base).tree();
        assert!(tree.has("made"), "{mode}");
    }
}
