//! (cli)

pub mod debug;
