use crate::control::figures::{self, size};
use crate::runtime::{CacheDiskUse, CacheStatus, CertificateStatus};

/// `cache main  1.5 MiB of 512 MiB in memory, 2.1 GiB of 20 GiB in /var/cache/evener`
pub(super) fn cache_line(cache: &CacheStatus) -> String {
    let CacheStatus { name, memory_bytes, memory_size, disk } = cache;
    let mut line = format!("cache {name}  {} of {} in memory", size(*memory_bytes), size(*memory_size));
    let Some(disk) = disk else { return line };
    line += &format!(", {} of {} in {}", size(disk.bytes), size(disk.size), disk.path);
    line += match disk.state {
        CacheDiskUse::InUse => "",
        CacheDiskUse::Full => ", FULL, nothing is written",
        CacheDiskUse::Off => ", OFF, works from memory",
        CacheDiskUse::Elsewhere => ", works from memory until it has that folder",
    };
    if let (Some(seconds), Some(why)) = (disk.for_s, &disk.why) {
        line += &format!(" for {seconds} s: {why}");
    }
    if disk.files_given_up > 0 {
        line += &format!(", {} files given up", disk.files_given_up);
    }
    line
}

/// `certificate of secure for a.example, *.a.example (ECDSA) expires in 61 days, 2026-03-01T00:00:00Z: tls/a.pem`
pub(super) fn certificate_line(certificate: &CertificateStatus) -> String {
    let CertificateStatus { listener, names, key, not_after, expires_in_s, file } = certificate;
    let (names, left) = (names.join(", "), figures::expiry(*expires_in_s));
    format!("certificate of {listener} for {names} ({key}) {left}, {not_after}: {file}")
}
