//! The files through which a step finds names on the network: `/etc/resolv.conf` and `/etc/hosts`.
//!
//! A step shares the machine's network, so it gets the machine's files; a resolver on a loopback
//! address works as well. They are shown to the step and never part of a layer.

/// Read once, when the sandbox is entered.
#[derive(Debug)]
pub(super) struct NetworkFiles {
    resolv_conf: Vec<u8>,
    hosts: Vec<u8>,
    hostname: String,
}

impl NetworkFiles {
    /// Reads the machine's files. One that is not there is empty, as it is for its programs.
    pub(super) fn of_this_machine() -> Self {
        let read = |path| std::fs::read(path).unwrap_or_default();
        Self {
            resolv_conf: read("/etc/resolv.conf"),
            hosts: read("/etc/hosts"),
            hostname: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
        }
    }

    pub(super) fn resolv_conf(&self) -> Vec<u8> {
        self.resolv_conf.clone()
    }

    /// Returns the machine's own name.
    pub(super) fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Returns the hosts file for a step with this host name.
    pub(super) fn hosts(&self, hostname: &str) -> Vec<u8> {
        with_hostname(&self.hosts, hostname)
    }
}

/// Programs such as sudo look their own host name up: it must be in the file.
fn with_hostname(hosts: &[u8], hostname: &str) -> Vec<u8> {
    let mut hosts = hosts.to_vec();
    if has_name(&hosts, "localhost") && has_name(&hosts, hostname) {
        return hosts;
    }
    if !hosts.is_empty() && !hosts.ends_with(b"\n") {
        hosts.push(b'\n');
    }
    if !has_name(&hosts, "localhost") {
        hosts.extend(b"127.0.0.1 localhost\n");
    }
    if !has_name(&hosts, hostname) {
        hosts.extend(format!("127.0.1.1 {hostname}\n").as_bytes());
    }
    hosts
}

fn has_name(hosts: &[u8], name: &str) -> bool {
    String::from_utf8_lossy(hosts).lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        line.split_ascii_whitespace()
            .skip(1)
            .any(|word| word == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hostname_is_added_only_where_it_is_missing() {
        let hosts = b"127.0.0.1 localhost # box\n::1 other box2";
        let added = with_hostname(hosts, "box");
        assert_eq!(added, [&hosts[..], b"\n127.0.1.1 box\n"].concat());
        assert_eq!(with_hostname(&added, "box"), added);
        assert_eq!(with_hostname(hosts, "box2"), hosts);
        assert_eq!(
            with_hostname(b"", "box"),
            b"127.0.0.1 localhost\n127.0.1.1 box\n"
        );
    }
}
