//! The keys of a link while they change.

use core::{error, fmt, mem};

/// Key rotation: the current key of a link, the next one, and the old one while packets of it still arrive.
///
/// A fleet changes its key in three steps, with time for every node between two of them: [`add`](Self::add) the next key
/// everywhere, so that everybody can open it; [`promote`](Self::promote) it node by node, so that they seal with it; then
/// [`retire`](Self::retire) the old one, once no packet of it can be under way. Packets name their key by its id; put the
/// id into the associated data too.
///
/// `K` is a key with what belongs to it, such as an `Encryptor`. A key that leaves is dropped, or given back; an
/// `Encryptor` is wiped then.
///
/// ```
/// use steadfast_core::session::KeyRing;
///
/// let mut keys = KeyRing::new(1, "first");
/// keys.add(2, "second")?;
/// assert_eq!((keys.current(), keys.get(2)), ((1, &"first"), Some(&"second"))); // seals with 1, opens both
/// keys.promote()?;
/// assert_eq!((keys.current(), keys.get(1)), ((2, &"second"), Some(&"first")));
/// keys.retire(1)?;
/// assert_eq!(keys.get(1), None);
/// # Ok::<(), steadfast_core::session::KeyRingError<&str>>(())
/// ```
///
/// # Replays
///
/// Counters go on over a rotation, and so does the [`ReplayWindow`](super::ReplayWindow) of each sender: what was
/// accepted under the old key stays refused. With counters that begin anew at each key, keep a window for each of them, in
/// `K`.
#[doc(alias("key rotation", "rekey", "rekeying", "key id", "key rollover"))]
pub struct KeyRing<K> {
    old: Option<(u8, K)>,
    current: (u8, K),
    next: Option<(u8, K)>,
}

/// Why a key was not added, promoted or retired. The ring is as it was.
#[non_exhaustive]
#[derive(Eq, PartialEq)]
pub enum KeyRingError<K> {
    /// There is a next key already: here is the new one back.
    Full(K),
    /// A key with this id is in the ring: here is the new one back.
    Duplicate(K),
    /// There is no next key to promote.
    NoNext,
    /// There is no such key, or it is the current one, which cannot be retired.
    NotRetired,
}

impl<K> KeyRing<K> {
    /// A ring with one key, the current one.
    pub const fn new(id: u8, key: K) -> Self {
        Self { old: None, current: (id, key), next: None }
    }

    /// Adds the next key, which opens from here on.
    ///
    /// # Errors
    ///
    /// [`Full`](KeyRingError::Full) if there is a next one, [`Duplicate`](KeyRingError::Duplicate) if the id is in use.
    pub fn add(&mut self, id: u8, key: K) -> Result<(), KeyRingError<K>> {
        if self.get(id).is_some() {
            return Err(KeyRingError::Duplicate(key));
        }
        if self.next.is_some() {
            return Err(KeyRingError::Full(key));
        }
        self.next = Some((id, key));
        Ok(())
    }

    /// Makes the next key the current one, and that the old one, which still opens. Returns the key that was the old one
    /// before, if it was not retired.
    ///
    /// # Errors
    ///
    /// [`NoNext`](KeyRingError::NoNext).
    pub fn promote(&mut self) -> Result<Option<K>, KeyRingError<K>> {
        let next = self.next.take().ok_or(KeyRingError::NoNext)?;
        let former = mem::replace(&mut self.current, next);
        Ok(self.old.replace(former).map(|(_, key)| key))
    }

    /// Takes a key out, the old one or the next: it opens nothing from here on. Dropping it wipes it, if it wipes itself.
    ///
    /// # Errors
    ///
    /// [`NotRetired`](KeyRingError::NotRetired).
    pub fn retire(&mut self, id: u8) -> Result<K, KeyRingError<K>> {
        let is_it = |(own, _): &mut (u8, K)| *own == id;
        let retired = self.old.take_if(is_it).or_else(|| self.next.take_if(is_it));
        retired.map(|(_, key)| key).ok_or(KeyRingError::NotRetired)
    }

    /// The id and the key to seal with.
    pub const fn current(&self) -> (u8, &K) {
        (self.current.0, &self.current.1)
    }

    /// [`current`](Self::current), to change what belongs to the key.
    pub const fn current_mut(&mut self) -> (u8, &mut K) {
        (self.current.0, &mut self.current.1)
    }

    /// The key to open a packet with: the old, the current or the next one.
    pub fn get(&self, id: u8) -> Option<&K> {
        let keys = [Some(&self.current), self.old.as_ref(), self.next.as_ref()];
        keys.into_iter().flatten().find(|(own, _)| *own == id).map(|(_, key)| key)
    }

    /// [`get`](Self::get), to change what belongs to the key.
    pub fn get_mut(&mut self, id: u8) -> Option<&mut K> {
        let keys = [Some(&mut self.current), self.old.as_mut(), self.next.as_mut()];
        keys.into_iter().flatten().find(|(own, _)| *own == id).map(|(_, key)| key)
    }
}

/// Shows the ids, and no key.
impl<K> fmt::Debug for KeyRing<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |key: &Option<(u8, K)>| key.as_ref().map(|(id, _)| *id);
        let mut shown = f.debug_struct("KeyRing");
        shown.field("old", &id(&self.old)).field("current", &self.current.0).field("next", &id(&self.next));
        shown.finish_non_exhaustive()
    }
}

/// Shows no key.
impl<K> fmt::Debug for KeyRingError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Duplicate(_) => "Duplicate(..)",
            Self::NoNext => "NoNext",
            Self::NotRetired => "NotRetired",
        })
    }
}

impl<K> fmt::Display for KeyRingError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "there is a next key already",
            Self::Duplicate(_) => "a key with this id is in the ring",
            Self::NoNext => "there is no next key",
            Self::NotRetired => "there is no such key, or it is the current one",
        })
    }
}

impl<K> error::Error for KeyRingError<K> {}
