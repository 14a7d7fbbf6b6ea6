use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Makes aws-lc-rs the process's provider of cryptography for rustls, before Pingora makes it ring. The first thing
/// that anything with TLS does; further calls change nothing.
pub(crate) fn install_provider() {
    // An error says that there is one already: ours, from an earlier call.
    let _ = aws_lc_rs::default_provider().install_default();
}

/// aws-lc-rs with X25519MLKEM768 first, by rustls' feature `prefer-post-quantum`. Listeners are given it by hand, so
/// that they depend on nothing that is global.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
