//! Nothing is built twice, and nothing wrong is taken: the caches of steps, against the real registry server.

mod changes;
mod log;
mod places;
mod project;
mod registries;
