//! The executor's images in the containers that CI jobs get: Docker's with its default profile, and what Kubernetes
//! makes of a pod. The daemon is Debian's, started by the tests; what Docker cannot express is a bundle for `runc`.
//!
//! All of it needs root and the packages that `.ci/run` installs; whatever is missing fails a test by name.

// Shared with the other test programs, each of which leaves out something.
#[allow(dead_code, unused_imports)]
#[path = "../support/mod.rs"]
mod support;

mod call;
mod daemon;
mod docker;
mod images;
mod job;
mod pod;
mod pod_config;
mod reference;

mod image;
mod interrupted;
mod places;
mod templates;
mod users;
