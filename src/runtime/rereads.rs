use std::future::pending;

use tokio::sync::watch;

/// Wishes to have files read again, and how many of them are fulfilled.
#[derive(Debug, Default)]
pub(crate) struct Rereads {
    wishes: watch::Sender<u64>,
    fulfilled: watch::Sender<u64>,
}

impl Rereads {
    /// Wishes for one; resolves when everything was read after this call.
    pub(crate) async fn wish(&self) {
        let mut number = 0;
        self.wishes.send_modify(|wishes| {
            *wishes += 1;
            number = *wishes;
        });
        // The sender lives as long as this does.
        let _ = self.fulfilled.subscribe().wait_for(|fulfilled| *fulfilled >= number).await;
    }

    /// Resolves when somebody waits, with the number of the last wish.
    pub(crate) async fn wished(&self) -> u64 {
        let mut wishes = self.wishes.subscribe();
        let wished = wishes.wait_for(|wishes| *wishes > *self.fulfilled.borrow()).await.map(|number| *number);
        match wished {
            Ok(number) => number,
            // Not while this lives.
            Err(_) => pending().await,
        }
    }

    /// Everything was read after the wish of this number.
    pub(crate) fn fulfil(&self, number: u64) {
        self.fulfilled.send_replace(number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_wish_is_fulfilled_by_what_was_begun_after_it() {
        let rereads = Rereads::default();
        assert_eq!(rereads.wished().now_or_never(), None);
        let mut first = Box::pin(rereads.wish());
        assert!(first.as_mut().now_or_never().is_none());
        let number = rereads.wished().now_or_never().unwrap();
        let mut second = Box::pin(rereads.wish());
        assert!(second.as_mut().now_or_never().is_none());
        rereads.fulfil(number);
        assert!(first.now_or_never().is_some());
        assert!(second.as_mut().now_or_never().is_none());
        rereads.fulfil(rereads.wished().now_or_never().unwrap());
        assert!(second.now_or_never().is_some());
        assert_eq!(rereads.wished().now_or_never(), None);
    }
}
