//! Compiles the protobuf file of the target `json`.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=kinds.proto");
    let kinds = protox::compile(["kinds.proto"], ["."])?;
    let out: PathBuf = std::env::var_os("OUT_DIR").ok_or("no OUT_DIR")?.into();
    std::fs::write(out.join("kinds.bin"), kinds.encode_to_vec())?;
    Ok(())
}
