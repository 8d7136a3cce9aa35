//! What stands at the end of each help text: calls to begin with.

use super::no_effect;

pub(super) const EXECUTOR: &str = "\
Examples:
  Build what is here and push it:
    executor --context . --destination registry.example/team/app:1.0
  The same with the layers of former builds, which are kept in registry.example/team/app/cache:
    executor --context . --destination registry.example/team/app:1.0 --cache --cache-copy-layers
  Build for two platforms, and push an index of both:
    executor --context . --destination registry.example/team/app:1.0 --platform linux/amd64,linux/arm64
  Build a branch of a repository into a file, for `docker load`:
    executor --context 'https://git.example/team/app.git#main' --destination app:1.0 --no-push --tar-path app.tar
  See what a build would do:
    executor --context . --no-push --dryrun";

pub(super) const LINT: &str = "\
Examples:
  executor lint
  executor lint --dockerfile deploy/Dockerfile --format json --check-error";

pub(super) const INDEX: &str = "\
Examples:
  Join what two jobs have pushed:
    executor index --destination registry.example/team/app:1.0 registry.example/team/app:1.0-amd64 registry.example/team/app:1.0-arm64
  Join layouts that jobs have left, and push the index:
    executor index --destination registry.example/team/app:1.0 ./amd64 ./arm64";

pub(super) const PUSH: &str = "\
Examples:
  executor push image.tar --destination registry.example/team/app:1.0
  executor push layout --destination registry.example/team/app:1.0 --digest-file digest";

pub(super) const INSPECT: &str = "\
Examples:
  executor inspect registry.example/team/app:1.0
  executor inspect --config image.tar";

pub(super) const UNPACK: &str = "\
Examples:
  executor unpack registry.example/team/app:1.0 --output rootfs";
pub(super) const LOGIN: &str = "\
Examples:
  executor login registry.example -u ci --password-stdin <token
  executor logout registry.example";

pub(super) const CACHE: &str = "\
Examples:
  executor cache du --cache-dir /cache
  executor cache prune --older-than 336h --keep-size 10GB";

pub(super) const COMPLETION: &str = "\
Examples:
  source <(executor completion bash)
  executor completion fish >~/.config/fish/completions/executor.fish";

pub(super) const WARMER: &str = "\
Examples:
  Pull one image, and all that a Dockerfile names:
    warmer --cache-dir /cache --image debian:12 --dockerfile Dockerfile
  Pull what is older than a day again:
    warmer --cache-dir /cache --image debian:12 --cache-ttl 24h";

pub(super) const WARMER_COMPLETION: &str = "\
Examples:
  source <(warmer completion bash)";

/// Returns the examples, and a sentence on the flags that no help shows.
pub(super) fn with_flags_without_effect(examples: &str) -> String {
    let words = no_effect::words().join(", ");
    format!(
        "{examples}\n\nAccepted without effect, as there is nothing left for them to do: {words}."
    )
}
