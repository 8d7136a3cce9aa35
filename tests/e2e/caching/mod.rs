//! Nothing is built twice, and nothing wrong is taken: the caches of steps, against the real registry server.

mod alike;
mod changes;
mod contexts;
mod damaged;
mod directory;
mod explained;
mod linked;
pub(crate) mod log;
mod meanwhile;
mod mixed;
mod mounts;
mod policies;
pub(crate) mod project;
mod race;
mod requests;
mod trouble;
