#![doc = include_str!("../docs/which_one.md")]

#[doc = include_str!("../docs/glossary.md")]
pub mod glossary {}
