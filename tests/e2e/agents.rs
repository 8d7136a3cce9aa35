//! `--ssh` with real keys, a real agent and OpenSSH's own tools in the step.

use super::mounts::WAYS;

use crate::support::tool::Tool;
use crate::support::{Base, Context, Executor, Image, Kind, Site, TestDir, Who};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
    ssh-keygen -Y verify -n test -I me -f allowed -s data.sig < data >> /verified; \
  done < keys; \
  test "$(grep -c '^Good "test" signature' /verified)" = 2"#;

/// Debian's OpenSSH client with its libraries, in a small image.
fn with_client(site: &Site) -> String {
    let debian = Base::Debian.push_to(&site.registry);
    let context = Context::new(format!(
        "FROM {debian} AS debian
RUN apt-get update && apt-get install -y --no-install-recommends openssh-client
RUN mkdir /client && cp --parents /usr/bin/ssh-add /usr/bin/ssh-keygen \\
  $(ldd /usr/bin/ssh-add /usr/bin/ssh-keygen | grep -o '/[^ :]*' | sort -u) /client
FROM {}
COPY --from=debian /client /\n",
        site.base
    ));
    let client = site.registry.reference("client:1");
    let executor = Executor::new(Who::Root).context(&context);
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
    let tree = Image::pull(&site.registry, "app:1").tree();
    let expected = Kind::file(&public_keys(keys));
    assert_eq!(tree.get("listed").kind, expected);
}

/// OpenSSH's agent, ended with this value.
struct RunningAgent(Child);

impl RunningAgent {
    fn start(socket: &Path) -> Self {
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(socket);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Self(command.spawn().expect("start ssh-agent (openssh-client)"));
        while !socket.exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        agent
    }
}

impl Drop for RunningAgent {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn keys_in_files_and_an_agent_sign_in_a_step() {
    let site = Site::busybox();
    let client = with_client(&site);
    let context = Context::new(format!("FROM {client}\n{USE_KEYS}\n"));
    let keys = context.path().to_owned();
    let shell = |script: &str| Tool::new("sh").args(["-ec", script]).in_dir(&keys).run();
    shell(MAKE_KEYS);
    let key = |name| keys.join(name).display().to_string();
    let by_file = format!("--ssh=default={},{}", key("modern"), key("classic"));
    for (who, flags) in WAYS {
        let executor = site.executor(who, &context).args(flags).arg(&by_file);
        let build = executor.arg("--verbosity=trace").run();
        build.assert_success().assert_clean_end();
        assert_both_keys_are_listed(&site, &keys);
        assert!(
            !build.report().contains("PRIVATE KEY"),
            "{}",
            build.report()
        );
    }
    let dir = TestDir::new();
    let socket = dir.join("agent");
    let _agent = RunningAgent::start(&socket);
    let add = format!(
        "chown 0 modern classic; SSH_AUTH_SOCK={} ssh-add -q modern classic",
        socket.display()
    );
    shell(&add);
    for (who, flags) in WAYS.into_iter().filter(|(who, _)| *who == Who::Root) {
        let executor = site
            .executor(who, &context)
            .args(flags)
            .arg("--ssh=default");
        let build = executor.env("SSH_AUTH_SOCK", &socket).run();
        build.assert_success().assert_clean_end();
        assert_both_keys_are_listed(&site, &keys);
    }
}
