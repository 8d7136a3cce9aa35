//! `--ssh` with real keys, a real agent and OpenSSH's own tools in the step.

use super::mounts::WAYS;

use crate::support::tool::Tool;
use crate::support::{Context, Kind, Site, TestDir, Who};
use std::fs;
use std::path::Path;

/// Two keys in the forms that people have, as `NAME: HOW`.
const MAKE_KEYS: &str = "
ssh-keygen -q -t ed25519 -N '' -C me@here -f modern
openssl genrsa -traditional -out classic 2048 2>/dev/null
chmod 600 modern classic
ssh-keygen -y -f classic > classic.pub
";

/// Signs with each key that the agent lists, and checks the signature.
const USE_KEYS: &str = r#"RUN --mount=type=ssh,required set -e; cd "$(mktemp -d)"; echo data > data; \
  ssh-add -L > keys; sort keys | cut -d' ' -f1,2 > /listed; \
  while read -r kind key rest; do \
    echo "$kind $key" > key.pub; echo "me $kind $key" > allowed; rm -f data.sig; \
    ssh-keygen -q -Y sign -n test -f key.pub data; \
    ssh-keygen -q -Y verify -n test -I me -f allowed -s data.sig < data >> /verified; \
  done < keys; \
  test "$(grep -c '^Good "test" signature' /verified)" = 2"#;

/// An image with OpenSSH's client in it.
fn with_client(site: &Site) -> String {
    let context = site
        .context("RUN apt-get update && apt-get install -y --no-install-recommends openssh-client");
    let client = site.registry.reference("client:1");
    let executor = crate::support::Executor::new(Who::Root).context(&context);
    executor.destination(&client).run().assert_success();
    client
}

/// What `ssh-add -L` lists, sorted and without comments.
fn public_keys(dir: &Path) -> String {
    let line = |name: &str| {
        let text = fs::read_to_string(dir.join(name)).expect("read a public key");
        let words: Vec<&str> = text.split_whitespace().take(2).collect();
        words.join(" ") + "\n"
    };
    let mut lines = [line("modern.pub"), line("classic.pub")];
    lines.sort();
    lines.concat()
}

fn assert_both_keys_are_listed(site: &Site, keys: &Path) {
    let tree = crate::support::Image::pull(&site.registry, "app:1").tree();
    let expected = Kind::file(&public_keys(keys));
    assert_eq!(tree.get("listed").kind, expected);
}

#[test]
fn keys_in_files_sign_in_a_step_and_are_not_in_it() {
    let site = Site::debian();
    let client = with_client(&site);
    let context = Context::new(format!("FROM {client}\n{USE_KEYS}\n"));
    let keys = context.path().to_owned();
    Tool::new("sh").args(["-ec", MAKE_KEYS]).in_dir(&keys).run();
    for (who, flags) in WAYS {
        let build = site
            .executor(who, &context)
            .args(flags)
            .arg(format!(
                "--ssh=default={},{}",
                keys.join("modern").display(),
                keys.join("classic").display()
            ))
            .arg("--verbosity=trace")
            .run();
        build.assert_success().assert_clean_end();
        assert_both_keys_are_listed(&site, &keys);
        assert!(
            !build.report().contains("PRIVATE KEY"),
            "{}",
            build.report()
        );
    }
}

#[test]
fn an_agent_of_openssh_signs_in_a_step() {
    let site = Site::debian();
    let client = with_client(&site);
    let context = Context::new(format!("FROM {client}\n{USE_KEYS}\n"));
    let dir = TestDir::new();
    Tool::new("sh")
        .args(["-ec", MAKE_KEYS])
        .in_dir(dir.path())
        .run();
    let socket = dir.join("agent");
    let mut agent = std::process::Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("start ssh-agent (package openssh-client)");
    while !socket.exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let script = format!(
        "SSH_AUTH_SOCK={} ssh-add -q modern classic",
        socket.display()
    );
    Tool::new("sh")
        .args(["-ec", &script])
        .in_dir(dir.path())
        .run();
    for (who, flags) in WAYS.into_iter().filter(|(who, _)| *who == Who::Root) {
        let executor = site.executor(who, &context).args(flags);
        let build = executor
            .arg("--ssh=default")
            .env("SSH_AUTH_SOCK", &socket)
            .run();
        build.assert_success().assert_clean_end();
        assert_both_keys_are_listed(&site, dir.path());
    }
    agent.kill().expect("end ssh-agent");
    agent.wait().expect("end ssh-agent");
}
