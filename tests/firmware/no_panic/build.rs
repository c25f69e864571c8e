//! Tells the linker where the board's memory is.

fn main() {
    println!("cargo:rustc-link-search={}/../costs", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rerun-if-changed=../costs/memory.x");
}
