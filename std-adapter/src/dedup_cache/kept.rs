//! What a cache keeps with an id.

use std::sync::Arc;

/// What a cache keeps with an id: nothing, or an answer of any type in an `Option<Arc<_>>`.
///
/// These two, because they are copied inside a lock, where none of your code is to run: to clone an `Arc` runs none. What
/// is in it is dropped with the last of its clones, and outside every lock.
pub trait Kept: Clone + Default + sealed::Sealed {}

impl Kept for () {}
impl<A: ?Sized> Kept for Option<Arc<A>> {}

mod sealed {
    use std::sync::Arc;

    #[expect(unnameable_types, reason = "so that nobody else implements it")]
    pub trait Sealed {}

    impl Sealed for () {}
    impl<A: ?Sized> Sealed for Option<Arc<A>> {}
}
