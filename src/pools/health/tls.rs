use std::sync::Arc;

use pingora_core::Result;
use pingora_core::protocols::Stream;
use pingora_core::tls::{
    CertificateDer, ClientConfig, CryptoProvider, DigitallySignedStruct, HandshakeSignatureValid,
    RootCertStore, RusTlsError, ServerCertVerified, ServerCertVerifier, ServerName, SignatureScheme,
    TlsConnector, UnixTime, install_default_crypto_provider, load_platform_certs_incl_env_into_store,
};

use crate::pools::Identity;

use super::failure::unhealthy;

/// A TLS handshake.
///
/// By rustls itself, because Pingora's connector always offers an application protocol, which servers of other ones
/// may refuse.
pub(super) struct TlsCheck {
    connector: TlsConnector,
    name: String,
}

impl TlsCheck {
    pub(super) fn new(connector: TlsConnector, name: String) -> Self {
        Self { connector, name }
    }

    pub(super) async fn ask(&self, stream: Stream) -> Result<String> {
        let Ok(name) = ServerName::try_from(self.name.clone()) else {
            return Err(unhealthy(format!("`{}` is not a name that a certificate can be for", self.name)));
        };
        match self.connector.connect(name, stream).await {
            Ok(_) => Ok("handshake done".to_owned()),
            Err(error) => Err(unhealthy(format!("no TLS handshake: {error}"))),
        }
    }
}

/// Handshakes with those only whose certificate one of the authorities has signed, or unverified with anybody; and with
/// this certificate to show.
pub(in crate::pools) fn client_config(
    roots: RootCertStore,
    identity: Option<&Identity>,
    verify: bool,
) -> Result<ClientConfig, RusTlsError> {
    install_default_crypto_provider();
    let builder = ClientConfig::builder();
    let builder = if verify {
        builder.with_root_certificates(roots)
    } else {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate))
    };
    match identity {
        Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key()),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Handshakes without a certificate to show.
pub(super) fn anonymous(roots: RootCertStore, verify: bool) -> TlsConnector {
    #[expect(clippy::expect_used, reason = "only a certificate to show can be refused")]
    let config = client_config(roots, None, verify).expect("a configuration without one");
    Arc::new(config).into()
}

/// The authorities that this machine trusts. Without them no certificate passes.
pub(in crate::pools) fn roots_of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if let Err(error) = load_platform_certs_incl_env_into_store(&mut roots) {
        log::error!("the authorities that this machine trusts cannot be read error={error}");
    }
    roots
}

/// Believes every certificate, and so has no use for its signatures.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, RusTlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RusTlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RusTlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = CryptoProvider::get_default();
        provider
            .map_or_else(Vec::new, |provider| provider.signature_verification_algorithms.supported_schemes())
    }
}

#[cfg(test)]
mod tests {
    use pingora_core::protocols::l4::stream::Stream as TcpStream;
    use pingora_core::tls::{PrivateKeyDer, ServerConfig, TlsAcceptor};
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::net::{TcpListener, TcpStream as TokioStream};

    use super::*;

    /// Shakes hands with a server whose certificate is for `app.internal` and 127.0.0.1, and signed by itself.
    async fn shake(
        connector: impl FnOnce(RootCertStore) -> TlsConnector,
        name: &str,
    ) -> Result<String, String> {
        install_default_crypto_provider();
        let names = vec!["app.internal".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TokioStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = TlsAcceptor::from(Arc::new(config)).accept(stream).await;
        });
        let check = TlsCheck::new(connector(roots), name.to_owned());
        let told = check.ask(Box::new(TcpStream::from(stream))).await;
        server.await.unwrap();
        told.map_err(|error| error.context.unwrap().as_str().to_owned())
    }

    #[tokio::test]
    async fn a_certificate_has_to_be_for_the_name_and_by_somebody_trusted() {
        assert!(shake(|roots| anonymous(roots, true), "app.internal").await.is_ok());
        assert!(shake(|roots| anonymous(roots, true), "127.0.0.1").await.is_ok());
        let other_name = shake(|roots| anonymous(roots, true), "other.internal").await.unwrap_err();
        assert!(other_name.contains("other.internal"), "{other_name}");
        let nobody_trusted =
            shake(|_| anonymous(roots_of_the_system(), true), "app.internal").await.unwrap_err();
        assert!(nobody_trusted.contains("UnknownIssuer"), "{nobody_trusted}");
    }

    #[tokio::test]
    async fn without_verification_any_certificate_does() {
        assert_eq!(
            shake(|_| anonymous(RootCertStore::empty(), false), "other.internal").await,
            Ok("handshake done".to_owned())
        );
    }
}
