use std::time::SystemTime;

use super::put::put;

/// `2030-01-01T12:00:00.000Z`
pub(super) fn push_time(time: SystemTime, out: &mut Vec<u8>) {
    put(humantime::format_rfc3339_millis(time), out);
}

/// `01/Jan/2030:12:00:00 +0000`, as Apache writes it.
pub(super) fn push_clf_time(time: SystemTime, out: &mut Vec<u8>) {
    // `Tue, 01 Jan 2030 12:00:00 GMT`
    let date = httpdate::fmt_http_date(time);
    let parts = (date.get(5..7), date.get(8..11), date.get(12..16), date.get(17..25));
    if let (Some(day), Some(month), Some(year), Some(clock)) = parts {
        put(format_args!("{day}/{month}/{year}:{clock} +0000"), out);
    }
}
