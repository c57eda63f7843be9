//! An input as a source of choices.

/// Takes choices off the front of an input. Where it has ended all of them are 0.
#[derive(Clone, Debug)]
pub struct Draw<'i>(&'i [u8]);

impl<'i> Draw<'i> {
    /// Of this input.
    #[must_use]
    pub fn new(input: &'i [u8]) -> Self {
        Self(input)
    }

    /// Whether all of it is taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (&byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        byte
    }

    /// A number below `most`, which is from 1 to 256.
    pub fn below(&mut self, most: usize) -> usize {
        usize::from(self.byte()) % most
    }

    /// One of these.
    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// As many bytes as the next one says, or all that are left.
    pub fn bytes(&mut self) -> &'i [u8] {
        let length = usize::from(self.byte());
        self.take(length)
    }

    /// So many bytes, or all that are left.
    pub fn take(&mut self, length: usize) -> &'i [u8] {
        let (bytes, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
