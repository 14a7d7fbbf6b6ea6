//! What filters keep of a request, each its own: several of a kind may stand on a route.

use smallvec::SmallVec;

use crate::hooks::FilterCx;

/// The values of one type, by the filters that keep them.
#[derive(Clone)]
struct Owned<T>(SmallVec<[(usize, T); 2]>);

/// Keeps a value for a filter until it takes it, or the request ends. It takes the place of the one before.
pub(super) fn keep<T>(filter: &impl Sized, value: T, cx: &mut FilterCx<'_>)
where
    T: Clone + Send + Sync + 'static,
{
    let Owned(all) = cx.extensions_mut().get_or_insert_with(|| Owned(SmallVec::new()));
    let id = id_of(filter);
    all.retain(|(of, _)| *of != id);
    all.push((id, value));
}

/// What a filter keeps.
pub(super) fn kept<'c, T>(filter: &impl Sized, cx: &'c FilterCx<'_>) -> Option<&'c T>
where
    T: Send + Sync + 'static,
{
    let Owned(all) = cx.extensions().get()?;
    let id = id_of(filter);
    all.iter().find(|(of, _)| *of == id).map(|(_, value)| value)
}

/// The same, which it no longer keeps.
pub(super) fn take<T>(filter: &impl Sized, cx: &mut FilterCx<'_>) -> Option<T>
where
    T: Send + Sync + 'static,
{
    let Owned(all) = cx.extensions_mut().get_mut()?;
    let id = id_of(filter);
    let place = all.iter().position(|(of, _)| *of == id)?;
    Some(all.swap_remove(place).1)
}

/// A filter stays where it is for as long as any request has to do with it.
fn id_of(filter: &impl Sized) -> usize {
    std::ptr::from_ref(filter).addr()
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::Exchange;

    #[test]
    fn each_filter_has_one_value_of_a_type() {
        let (one, other) = (1_u8, 1_u8);
        Exchange::get("/", Instant::now()).with_request(|_, cx| {
            assert_eq!(kept::<&str>(&one, cx), None);
            assert_eq!(take::<&str>(&one, cx), None);
            keep(&one, "a", cx);
            keep(&other, "b", cx);
            keep(&one, "c", cx);
            keep(&one, 4_u32, cx);
            assert_eq!(
                (kept(&one, cx), kept(&other, cx), kept(&one, cx)),
                (Some(&"c"), Some(&"b"), Some(&4_u32))
            );
            assert_eq!(take(&one, cx), Some("c"));
            assert_eq!(kept::<&str>(&one, cx), None);
            assert_eq!(kept(&other, cx), Some(&"b"));
        });
    }
}
