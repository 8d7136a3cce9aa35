//! (dockerfile)
