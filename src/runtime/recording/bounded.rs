/// A list that keeps its first `MOST` items and counts the others.
#[derive(Clone, Debug)]
pub(crate) struct Bounded<T, const MOST: usize> {
    items: Vec<T>,
    more: usize,
}

impl<T, const MOST: usize> Default for Bounded<T, MOST> {
    fn default() -> Self {
        Self { items: Vec::new(), more: 0 }
    }
}

impl<T, const MOST: usize> Bounded<T, MOST> {
    /// Adds an item, or counts it.
    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() < MOST { self.items.push(item) } else { self.more += 1 }
    }

    /// Counts items that nobody has made, since there would be no room for them.
    pub(crate) fn leave_out(&mut self, count: usize) {
        self.more += count;
    }

    /// How many were added, whether they were kept or not.
    pub(crate) fn count(&self) -> usize {
        self.items.len() + self.more
    }

    /// The item of this number, if it was kept.
    pub(crate) fn get_mut(&mut self, number: usize) -> Option<&mut T> {
        self.items.get_mut(number)
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        &self.items
    }

    /// How many were not kept.
    pub(crate) fn more(&self) -> usize {
        self.more
    }
}

impl<T, const MOST: usize> Extend<T> for Bounded<T, MOST> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<T, const MOST: usize> FromIterator<T> for Bounded<T, MOST> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut all = Self::default();
        all.extend(items);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted() {
        let mut list: Bounded<u8, 2> = [1, 2].into_iter().collect();
        list.extend([3, 4]);
        assert_eq!((list.as_slice(), list.more()), (&[1, 2][..], 2));
        assert_eq!((list.count(), list.more()), (4, 2));
        list.leave_out(3);
        assert_eq!((list.count(), list.more()), (7, 5));
        assert_eq!(list.get_mut(1), Some(&mut 2));
    }
}
