/// All of `items`; each round begins with another one, so that none always follows the same.
pub(crate) fn rotated<T>(items: &[T], round: u32) -> impl Iterator<Item = &T> {
    items.iter().cycle().skip(round as usize % items.len().max(1)).take(items.len())
}
