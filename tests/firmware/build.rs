//! Tells the linker where the board's memory is.

fn main() {
    println!("cargo:rustc-link-search={}/src", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg=-Tlink.x");
    println!("cargo:rustc-link-arg-bin=defmt_sink=-Tdefmt.x");
    println!("cargo:rerun-if-changed=src/memory.x");
}
