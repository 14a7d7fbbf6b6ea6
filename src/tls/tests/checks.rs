use rcgen::{CertificateParams, DistinguishedName, KeyPair, date_time_ymd};

use crate::config::spec::ClientAuthMode;
use crate::config::{ClientAuth, KeyPath};

use super::made::{Authority, Made, params, pem};
use super::site::{DAY, HOUR, Site};

#[track_caller]
fn assert_told(site: &Site, expected: &[&str]) {
    assert_eq!(site.problems(), expected);
}

#[test]
fn files_that_cannot_be_read() {
    let site = Site::with(&["a.example"]);
    std::fs::remove_file(site.path("site.pem")).unwrap();
    site.write("site.key", "nothing");
    let key = "error tls.certificates[0].key: `site.key` has no private key in PEM (a key in PEM begins with a line like \
               -----BEGIN PRIVATE KEY-----)";
    let cert =
        "error tls.certificates[0].cert: `site.pem` cannot be read: No such file or directory (os error 2)";
    assert_told(&site, &[cert, key]);
    site.put("site", &site.authority.certify(&["a.example"]));
    site.write("site.pem", "nothing");
    let help = "a certificate in PEM begins with the line -----BEGIN CERTIFICATE-----";
    assert_told(
        &site,
        &[&format!("error tls.certificates[0].cert: `site.pem` has no certificate in PEM ({help})")],
    );
    site.write("site.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
    let told = site.problems();
    assert!(told[0].starts_with("error tls.certificates[0].cert: `site.pem` is not valid PEM: "), "{told:?}");
    site.write("site.pem", pem("CERTIFICATE", &[0x30, 3, 2, 1, 0]));
    assert_told(&site, &["error tls.certificates[0].cert: certificate 1 of `site.pem` is broken"]);
}

#[test]
fn keys_that_cannot_be_used() {
    let site = Site::with(&["a.example"]);
    let at = "error tls.certificates[0].key";
    site.write("site.key", pem("ENCRYPTED PRIVATE KEY", b"?"));
    assert_told(
        &site,
        &[&format!(
            "{at}: `site.key` has a private key with a passphrase, which nobody could enter (write it without one: \
             openssl pkey -in KEY -out KEY.plain)"
        )],
    );
    site.write("site.key", pem("PRIVATE KEY", b"?"));
    assert_told(
        &site,
        &[&format!(
            "{at}: `site.key` has a private key that is broken or of an unknown kind (RSA of 2048 to 8192 bits, ECDSA \
             on P-256, P-384 or P-521, and Ed25519 are supported)"
        )],
    );
    let other = site.authority.certify(&["a.example"]);
    other.write(&site.path("other.pem"), &site.path("site.key"));
    assert_told(
        &site,
        &[&format!("{at}: the key in `site.key` is not that of the certificate in `site.pem`")],
    );
}

#[test]
fn the_key_of_another_certificate_in_the_file() {
    let site = Site::with(&["a.example"]);
    let made = site.authority.certify(&["a.example"]);
    let turned = Made { chain: vec![site.authority.der().clone(), made.chain[0].clone()], key: made.key };
    site.put("site", &turned);
    let told = site.problems();
    assert!(
        told[1].starts_with("error tls.certificates[0].cert: the chain in `site.pem` is broken: "),
        "{told:?}"
    );
    let key = "error tls.certificates[0].key: the key in `site.key` is not that of the certificate in `site.pem` (it is \
               that of the file's certificate 2; that one comes first)";
    assert_eq!(told[2], key);
}

fn dated(site: &Site, change: impl Fn(&mut CertificateParams)) -> Vec<String> {
    let mut params = params(&["a.example"]);
    change(&mut params);
    site.put("site", &site.authority.sign(&params, KeyPair::generate().unwrap()));
    site.problems()
}

#[test]
fn dates() {
    let site = Site::with(&["a.example"]);
    site.time.advance(12 * HOUR);
    let at = "tls.certificates[0].cert: the certificate in `site.pem`";
    assert_eq!(dated(&site, |_| ()), <[String; 0]>::default());
    assert_eq!(
        dated(&site, |params| params.not_before = date_time_ymd(2030, 2, 1)),
        [format!(
            "error {at} is not valid before 2030-02-01T00:00:00Z (if it should be, look at the clock of this machine: it \
             shows 2030-01-01T12:00:00Z)"
        )]
    );
    let until = |month, day| dated(&site, move |params| params.not_after = date_time_ymd(2030, month, day));
    assert_eq!(
        dated(&site, |params| params.not_after = date_time_ymd(2029, 12, 31)),
        [format!("error {at} expired on 2029-12-31T00:00:00Z (renew it)")]
    );
    assert_eq!(until(2, 1), <[String; 0]>::default());
    assert_eq!(
        until(1, 8),
        [format!("warning {at} expires on 2030-01-08T00:00:00Z, in 6 days (renew it now)")]
    );
    assert_eq!(
        until(1, 2),
        [format!("warning {at} expires on 2030-01-02T00:00:00Z, within a day (renew it now)")]
    );
    assert_eq!(until(1, 10), [format!("warning {at} expires on 2030-01-10T00:00:00Z, in 8 days (renew it)")]);
    // One that lives for a week is renewed every few days, and so is not late yet.
    let short = dated(&site, |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2029, 12, 31), date_time_ymd(2030, 1, 6));
    });
    assert_eq!(short, <[String; 0]>::default());
    site.time.advance(3 * DAY);
    assert_eq!(
        site.problems(),
        [format!("warning {at} expires on 2030-01-06T00:00:00Z, in one day (renew it now)")]
    );
}

#[test]
fn certificates_without_names() {
    let mut site = Site::with(&["a.example"]);
    let mut nameless = params(&["a.example"]);
    nameless.subject_alt_names.clear();
    let nameless = site.authority.sign(&nameless, KeyPair::generate().unwrap());
    site.put("site", &nameless);
    let help = "(clients ignore the common name (CN); add the names as DNS:…)";
    let message = "the certificate in `site.pem` holds no subject alternative name";
    assert_told(&site, &[&format!("warning tls.certificates[0].cert: {message} {help}")]);
    site.put("site", &site.authority.certify(&["10.0.0.1"]));
    assert_told(&site, &[]);
    let address = site.authority.certify(&["10.0.0.2"]);
    site.add("second", &address);
    site.add("third", &nameless);
    assert_told(
        &site,
        &[
            "error tls.certificates[1].cert: the certificate in `second.pem` holds no host name, so it would never be \
             chosen (clients never send addresses as server names; make it the first to serve them)",
            &format!(
                "error tls.certificates[2].cert: the certificate in `third.pem` holds no subject alternative name, so it \
                 would never be chosen {help}"
            ),
        ],
    );
}

#[test]
fn chains() {
    let site = Site::with(&["a.example"]);
    let middle = site.authority.intermediate("Middle");
    let leaf = middle.certify(&["a.example"]);
    let chain = |ders: Vec<&rustls::pki_types::CertificateDer<'static>>| {
        let key = KeyPair::try_from(leaf.key.serialize_der().as_slice()).unwrap();
        site.put("site", &Made { chain: ders.into_iter().cloned().collect(), key });
        site.problems()
    };
    let (end, middle, root) = (&leaf.chain[0], middle.der(), site.authority.der());
    assert_eq!(chain(vec![end]), <[String; 0]>::default());
    assert_eq!(chain(vec![end, middle]), <[String; 0]>::default());
    assert_eq!(chain(vec![end, middle, root]), <[String; 0]>::default());
    let help = "(the file has the host's certificate first and then, each time, the one that signed the one before; \
                leave out what does not belong)";
    let broken = "error tls.certificates[0].cert: the chain in `site.pem` is broken: certificate";
    assert_eq!(
        chain(vec![end, root, middle]),
        [format!("{broken} 1 was signed by `CN=Middle`, and certificate 2 is that of `CN=Test Root` {help}")]
    );
    let impostor = Authority::new("Middle");
    assert_eq!(
        chain(vec![end, impostor.der()]),
        [format!("{broken} 2 has the name of who signed certificate 1, but another key {help}")]
    );
}

#[test]
fn names_in_two_certificates() {
    let mut site = Site::with(&["a.example", "b.example", "c.example"]);
    let again = site.authority.certify(&["b.example", "d.example", "c.example", "c.example"]);
    site.add("again", &again);
    let rsa = site.authority.sign(&params(&["a.example"]), super::made::rsa());
    site.add("rsa", &rsa);
    assert_told(
        &site,
        &[
            "warning tls.certificates[1].cert: `b.example` and 2 more of its names and an ECDSA key are in `site.pem` too, \
           which comes first and is used for them (leave one of the two out, or give them different kinds of keys)",
        ],
    );
}

#[test]
fn hosts_that_no_certificate_holds() {
    let mut site = Site::with(&["a.example", "*.b.example", "x.c.example"]);
    let off = |at: &str| ClientAuth { mode: ClientAuthMode::Off, ca: None, at: KeyPath::default().child(at) };
    for host in ["a.example", "y.b.example", "*.b.example", "*.c.example", "*.example"] {
        site.host(host, off(host));
    }
    assert_told(&site, &[]);
    for (place, host) in ["b.example", "x.y.b.example", "*.d.example", "10.0.0.1"].into_iter().enumerate() {
        site.host(host, off(&format!("h{place}")));
    }
    let lacks = "each certificate of the listener lacks the name";
    let help = "(add a certificate that holds it, or remove the host)";
    assert_told(
        &site,
        &[
            &format!("error h0: {lacks} `b.example` {help}"),
            &format!("error h1: {lacks} `x.y.b.example` {help}"),
            &format!("error h2: {lacks} `*.d.example` {help}"),
            "error h3: `10.0.0.1` is an address, which clients never send as server name (the listener's own \
             `client_auth` is for clients that connect by address)",
        ],
    );
}

#[test]
fn authorities_of_clients() {
    let mut site = Site::with(&["a.example"]);
    site.config.client_auth = site.auth(ClientAuthMode::Require, "ca.pem", &site.authority);
    site.write("ca.pem", "nothing");
    let help = "(a certificate in PEM begins with the line -----BEGIN CERTIFICATE-----)";
    assert_told(&site, &[&format!("error \"ca.pem\".ca: `ca.pem` has no certificate in PEM {help}")]);
    site.write("ca.pem", pem("CERTIFICATE", &[0x30, 0]));
    assert_told(&site, &["error \"ca.pem\".ca: certificate 1 of `ca.pem` is broken"]);
    site.auth(ClientAuthMode::Require, "ca.pem", &site.authority);
    site.time.advance(11 * 365 * DAY);
    let told = site.problems();
    let expired =
        "warning \"ca.pem\".ca: the authority `CN=Test Root` in `ca.pem` expired on 2040-01-01T00:00:00Z";
    assert!(told.iter().any(|told| told == expired), "{told:?}");
}

#[test]
fn all_problems_come_at_once() {
    let mut site = Site::with(&["a.example"]);
    let second = site.authority.certify(&["b.example"]);
    site.add("second", &second);
    site.config.client_auth = site.auth(ClientAuthMode::Require, "ca.pem", &site.authority);
    for file in ["site.pem", "second.key", "ca.pem"] {
        std::fs::remove_file(site.path(file)).unwrap();
    }
    site.time.advance(360 * DAY);
    let told = site.problems();
    let files = ["site.pem", "second.pem", "second.key", "ca.pem"];
    assert_eq!(told.len(), files.len(), "{told:?}");
    assert!(files.iter().all(|file| told.iter().any(|told| told.contains(file))), "{told:?}");
}

/// DER by hand: a tag and what it holds.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).unwrap();
    let length = if length < 128 { vec![length] } else { vec![0x81, length] };
    [vec![tag], length, content].concat()
}

const GOOD: [u8; 2] = [0x80, 0];
const REVOKED: [u8; 2] = [0xa1, 0];

fn ocsp_response(serial: &[u8], status: &[u8], next_update: &str) -> Vec<u8> {
    let sequence = |parts: &[&[u8]]| der(0x30, parts);
    let time = |text: &str| der(0x18, &[text.as_bytes()]);
    let certificate =
        sequence(&[&sequence(&[]), &der(4, &[b"issuer"]), &der(4, &[b"key"]), &der(2, &[serial])]);
    let next_update = der(0xa0, &[&time(next_update)]);
    let single = sequence(&[&certificate, status, &time("20291231000000Z"), &next_update]);
    let responder = der(0xa2, &[&der(4, &[b"responder"])]);
    let data = sequence(&[&responder, &time("20291231000000Z"), &sequence(&[&single])]);
    let basic = der(4, &[&sequence(&[&data])]);
    let bytes = der(0xa0, &[&sequence(&[&der(6, &[&[43, 6]]), &basic])]);
    sequence(&[&der(10, &[&[0]]), &bytes])
}

#[test]
fn ocsp_responses() {
    const SERIAL: [u8; 3] = [1, 2, 0xab];
    let mut site = Site::with(&["a.example"]);
    site.config.certificates[0].ocsp = Some(site.path("site.ocsp"));
    let told = |response: &[u8]| {
        site.write("site.ocsp", response);
        let stapled = site.load().is_ok_and(|(termination, _)| termination.staples());
        (site.problems(), stapled)
    };
    let kind = |severity: &str, words: &str| vec![format!("{severity} tls.certificates[0].ocsp: {words}")];
    let good = ocsp_response(&SERIAL, &GOOD, "20300107000000Z");
    assert_eq!(told(&good), (vec![], true));
    assert_eq!(
        told(b"nothing"),
        (kind("error", "`site.ocsp` is no OCSP response (it has to be in DER, not in PEM)"), false)
    );
    assert_eq!(
        told(&der(0x30, &[&der(10, &[&[3]])])),
        (kind("error", "in `site.ocsp` the OCSP responder says that it had no answer"), false)
    );
    assert_eq!(
        told(&ocsp_response(&[7], &GOOD, "20300107000000Z")),
        (kind("error", "the OCSP response in `site.ocsp` is for another certificate"), false)
    );
    assert_eq!(
        told(&ocsp_response(&SERIAL, &REVOKED, "20300107000000Z")),
        (
            kind(
                "error",
                "the OCSP response in `site.ocsp` says that the certificate is revoked (get a new certificate)"
            ),
            false
        )
    );
    assert_eq!(
        told(&ocsp_response(&SERIAL, &GOOD, "20291231120000Z")),
        (
            kind(
                "warning",
                "the OCSP response in `site.ocsp` expired on 2029-12-31T12:00:00Z; it is not sent to clients"
            ),
            false
        )
    );
}

#[test]
fn a_renewal_does_not_wait_for_its_ocsp_response() {
    const SERIAL: [u8; 3] = [1, 2, 0xab];
    let mut site = Site::with(&["a.example"]);
    site.config.certificates[0].ocsp = Some(site.path("site.ocsp"));
    site.write("site.ocsp", ocsp_response(&SERIAL, &GOOD, "20300107000000Z"));
    let (termination, _) = site.load().unwrap();
    let mut renewed = params(&["a.example"]);
    renewed.serial_number = Some(vec![7].into());
    site.put("site", &site.authority.sign(&renewed, KeyPair::generate().unwrap()));
    let reloaded = termination.reload().unwrap();
    assert_eq!(reloaded.changes.len(), 1);
    assert!(reloaded.warnings[0].message.contains("is for another certificate"), "{reloaded:?}");
    assert!(!termination.staples());
    site.write("site.ocsp", ocsp_response(&[7], &GOOD, "20300107000000Z"));
    assert!(termination.reload().unwrap().warnings.is_empty());
    assert!(termination.staples());
}

#[test]
fn a_certificate_without_subject_and_one_that_signed_itself_are_fine() {
    let site = Site::with(&["a.example"]);
    let mut subjectless = params(&["a.example"]);
    subjectless.distinguished_name = DistinguishedName::new();
    site.put("site", &site.authority.sign(&subjectless, KeyPair::generate().unwrap()));
    assert_told(&site, &[]);
    let key = KeyPair::generate().unwrap();
    let chain = vec![params(&["a.example"]).self_signed(&key).unwrap().der().clone()];
    site.put("site", &Made { chain, key });
    assert_told(&site, &[]);
}
