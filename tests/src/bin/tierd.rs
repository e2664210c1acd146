//! The daemon as the suites run it.

fn main() -> tierd::exit::ExitCode {
    tierd::program::main()
}
