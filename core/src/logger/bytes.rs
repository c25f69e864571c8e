//! The memory under names and text.

/// Up to `N` bytes. What `heapless` has for this adds up lengths in a way that no compiler proves free of overflow.
#[derive(Clone, Debug)]
pub(super) struct Bytes<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Bytes<N> {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Keeps the first `len` bytes, if there are more.
    pub(super) const fn truncate(&mut self, len: usize) {
        if len < self.len {
            self.len = len;
        }
    }

    /// What can be added to, whatever its size.
    pub(super) const fn room(&mut self) -> Room<'_> {
        Room { bytes: &mut self.bytes, len: &mut self.len }
    }
}

/// Whether two texts are the same, in words: names are short, and the call of what compares slices is most of its cost.
#[cfg_attr(target_pointer_width = "64", inline)]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    const WORD: usize = size_of::<usize>();

    if a.len() != b.len() {
        return false;
    }
    if let (Some(a_end), Some(b_end)) = (a.last_chunk::<WORD>(), b.last_chunk::<WORD>()) {
        let (a_words, b_words) = (a.as_chunks::<WORD>().0, b.as_chunks::<WORD>().0);
        return a_words.iter().zip(b_words).all(|(a, b)| a == b) && a_end == b_end;
    }
    if let (Some(a_end), Some(b_end)) = (a.last_chunk::<4>(), b.last_chunk::<4>()) {
        return a.first_chunk::<4>() == b.first_chunk::<4>() && a_end == b_end;
    }
    a.iter().zip(b).all(|(a, b)| a == b)
}

/// Bytes of any capacity, so that what fills them exists only once in a program.
#[derive(Debug)]
pub(super) struct Room<'a> {
    bytes: &'a mut [u8],
    len: &'a mut usize,
}

impl<'a> Room<'a> {
    /// Room for at most `len` bytes.
    pub(super) fn first(bytes: &'a mut [u8], used: &'a mut usize, len: usize) -> Option<Self> {
        Some(Self { bytes: bytes.get_mut(..len)?, len: used })
    }

    pub(super) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        *self.len
    }

    /// Adds all of `more` or nothing.
    pub(super) fn push(&mut self, more: &[u8]) -> bool {
        let free = self.bytes.get_mut(*self.len..).unwrap_or_default();
        let Some(place) = free.get_mut(..more.len()) else { return false };
        place.copy_from_slice(more);
        *self.len = self.len.saturating_add(more.len());
        true
    }

    /// Keeps the characters that lie wholly in the first `len` bytes.
    pub(super) fn truncate_chars(&mut self, len: usize) {
        let mut len = len.min(*self.len);
        while len > 0 && len < *self.len && self.bytes.get(len).is_some_and(|byte| byte & 0xc0 == 0x80) {
            len = len.saturating_sub(1);
        }
        *self.len = len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lay_there_before_is_no_part_of_the_text() {
        let mut bytes = Bytes::<4>::new();
        assert!(bytes.room().push("aé".as_bytes()));
        bytes.truncate(1);
        bytes.room().truncate_chars(0);
        assert_eq!(bytes.len(), 0);
        assert!(bytes.room().push(b"bc"));
        // The last byte of the `é` still lies behind.
        bytes.room().truncate_chars(2);
        assert_eq!(bytes.as_slice(), b"bc");
    }

    #[test]
    fn texts_are_the_same_if_every_byte_is() {
        let text: [u8; 40] = core::array::from_fn(|at| at as u8);
        for len in 0..=text.len() {
            assert!(same(&text[..len], &text[..len]));
            assert!(len == 0 || !same(&text[..len], &text[..len - 1]) && !same(&text[1..len], &text[..len]));
            for place in 0..len {
                let mut other = text;
                other[place] ^= 0x80;
                assert!(!same(&text[..len], &other[..len]), "{place} of {len}");
            }
        }
    }
}
