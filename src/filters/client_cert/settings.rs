use schemars::JsonSchema;
use serde::Deserialize;

use super::{Fingerprint, SanPattern, SubjectPattern};

/// Lets in clients whose certificate is one of those in the lists; one entry that fits is enough, and without any every
/// certificate will do. Listeners verify certificates first, under `client_auth`; over plain HTTP nobody has one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientCertSettings {
    /// Whole subjects, the most specific part first: `CN=worker-7,OU=Batch,O=Example`. `*` stands for any text within one
    /// value, as in `CN=worker-*,O=Example`.
    pub subjects: Vec<SubjectPattern>,
    /// Alternative names with their kind: `DNS:worker-7.example`, `URI:spiffe://example/batch`, `email:ops@example.com` or
    /// `IP:10.0.0.7`. `*` stands for any text, also over dots and slashes.
    pub sans: Vec<SanPattern>,
    /// The SHA-256 of certificates, as `openssl x509 -noout -fingerprint -sha256` prints it.
    pub fingerprints: Vec<Fingerprint>,
}
