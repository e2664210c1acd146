//! The tierd binary.
fn main() {}
