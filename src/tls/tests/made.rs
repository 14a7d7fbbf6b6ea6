//! Certificates that are made for a test.

use std::path::Path;
use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
    PKCS_RSA_SHA256, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A certificate with those that follow it, and its key.
pub(super) struct Made {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: KeyPair,
}

pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        Self {
            issuer: CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate().unwrap()).unwrap(),
        }
    }

    /// One that this one vouches for.
    pub(super) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::signed_by(Self::params(name), key, &self.issuer).unwrap() }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = params(&[]);
        params.not_after = date_time_ymd(2040, 1, 1);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    pub(super) fn der(&self) -> &CertificateDer<'static> {
        self.issuer.der()
    }

    pub(super) fn sign(&self, params: &CertificateParams, key: KeyPair) -> Made {
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Made { chain: vec![certificate.der().clone()], key }
    }

    /// A certificate with an ECDSA key.
    pub(super) fn certify(&self, names: &[&str]) -> Made {
        self.sign(&params(names), KeyPair::generate().unwrap())
    }
}

impl Made {
    pub(super) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    pub(super) fn write(&self, cert: &Path, key: &Path) {
        std::fs::write(cert, self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect::<String>())
            .unwrap();
        std::fs::write(key, pem("PRIVATE KEY", &self.key.serialize_der())).unwrap();
    }
}

/// Of a certificate that is valid for the year 2030 and a month more, with the names as alternative names and the
/// first as common name.
pub(super) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.not_before = date_time_ymd(2029, 12, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = names.first() {
        params.distinguished_name.push(DnType::CommonName, name.as_str());
    }
    params.serial_number = Some(SerialNumber::from_slice(&[1, 2, 0xab]));
    params
}

pub(super) fn ed25519() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

/// The same for all tests, since making one takes long.
pub(super) fn rsa() -> KeyPair {
    static DER: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let key = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        der.as_ref().to_vec()
    });
    KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(DER.as_slice()), &PKCS_RSA_SHA256)
        .unwrap()
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", base64(der))
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, place| bits << 8 | u32::from(*group.get(place).unwrap_or(&0)));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if place <= group.len() { char::from(digit) } else { '=' });
        }
    }
    text
}
