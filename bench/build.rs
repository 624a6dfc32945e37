//! Notes which compiler builds the program, for the line about the machine under each table.

use std::env;
use std::process::Command;

fn main() {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let answer = Command::new(compiler).arg("--version").output();
    let version = answer.ok().and_then(|answer| String::from_utf8(answer.stdout).ok());
    println!("cargo::rustc-env=BENCH_RUSTC={}", version.as_deref().unwrap_or("rustc ?").trim());
    println!("cargo::rerun-if-changed=build.rs");
}
