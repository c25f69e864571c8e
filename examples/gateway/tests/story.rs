//! The program tells its story, and all its checks hold.
#![cfg(unix)]

use std::process::Command;

#[test]
fn the_story_holds() -> std::io::Result<()> {
    let told = Command::new(env!("CARGO_BIN_EXE_gateway")).arg("story").output()?;
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(told.status.success() && text.ends_with("all holds\n"), "{text}{}", String::from_utf8_lossy(&told.stderr));
    Ok(())
}
