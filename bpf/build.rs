//! Compiles the probe and the recorder. Their headers come with libbpf, so that clang is all that
//! has to be there.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libbpf_cargo::SkeletonBuilder;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=src/bpf");
    let Some(out_dir) = env::var_os("OUT_DIR").map(PathBuf::from) else {
        println!("cargo::error=OUT_DIR is not set; build with cargo");
        return ExitCode::FAILURE;
    };
    let built = ["probe", "recorder"]
        .into_iter()
        .try_for_each(|name| compile(&out_dir, name));
    match built {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error={error}");
            ExitCode::FAILURE
        }
    }
}

fn compile(out_dir: &Path, name: &str) -> Result<(), String> {
    // -mcpu=v3: atomic adds that return the old value (the threshold rests on them), Linux 5.12.
    SkeletonBuilder::new()
        .source(format!("src/bpf/{name}.bpf.c"))
        .obj(out_dir.join(format!("{name}.bpf.o")))
        .clang_args([
            "-Isrc/bpf",
            "-mcpu=v3",
            "-Wall",
            "-Wextra",
            "-Wno-unused-parameter",
            "-Werror",
        ])
        .build()
        .map_err(|error| format!("cannot compile {name}.bpf.c (is clang installed?): {error:#}"))
}
