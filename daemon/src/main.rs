//! The tierd binary.

fn main() -> tierd::exit::ExitCode {
    tierd::program::main()
}
