//! Compiles the probe. Its headers come with libbpf, so that clang is all that has to be there.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use libbpf_cargo::SkeletonBuilder;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=src/bpf");
    let Some(out_dir) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        println!("cargo::error=OUT_DIR is not set; build with cargo");
        return ExitCode::FAILURE;
    };
    // -mcpu=v3: atomic adds that return the old value (the threshold rests on them), Linux 5.12.
    let built = SkeletonBuilder::new()
        .source("src/bpf/probe.bpf.c")
        .obj(out_dir.join("probe.bpf.o"))
        .clang_args([
            "-Isrc/bpf",
            "-mcpu=v3",
            "-Wall",
            "-Wextra",
            "-Wno-unused-parameter",
            "-Werror",
        ])
        .build();
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=cannot compile the probe (is clang installed?): {error:#}");
            ExitCode::FAILURE
        }
    }
}
