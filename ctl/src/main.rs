//! The tierctl binary.
fn main() {}
