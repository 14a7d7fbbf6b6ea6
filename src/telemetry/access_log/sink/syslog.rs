use std::path::Path;
use std::time::SystemTime;

use crate::config::spec::SyslogSpec;
use crate::telemetry::access_log::put::put;
use crate::telemetry::access_log::time::push_time;

/// Makes messages of syslog (RFC 5424 §6).
pub(super) struct Message {
    /// Up to the time.
    before: String,
    /// From there to the line.
    after: String,
}

/// The severity `informational`.
const INFORMATIONAL: u8 = 6;

impl Message {
    pub(super) fn new(spec: &SyslogSpec) -> Self {
        let priority = spec.facility as u8 * 8 + INFORMATIONAL;
        let (host, process) = (host_name(), std::process::id());
        Self { before: format!("<{priority}>1 "), after: format!(" {host} {} {process} access - ", spec.tag) }
    }

    fn write_at(&self, time: SystemTime, line: &[u8], out: &mut Vec<u8>) {
        put(&self.before, out);
        push_time(time, out);
        put(&self.after, out);
        out.extend_from_slice(line);
    }
}

impl super::Message for Message {
    fn write(&self, line: &[u8], out: &mut Vec<u8>) {
        self.write_at(SystemTime::now(), line, out);
    }
}

/// The machine's name, or `-` where it has none that may stand there.
fn host_name() -> String {
    let name = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let name = name.trim();
    let is_sound = (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
    if is_sound { name.to_owned() } else { "-".to_owned() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_message_is_as_the_standard_has_it() {
        let message =
            Message { before: "<190>1 ".to_owned(), after: " edge-1 evener 42 access - ".to_owned() };
        let mut out = Vec::new();
        message.write_at(SystemTime::UNIX_EPOCH + Duration::from_millis(1_893_456_000_250), b"{}", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "<190>1 2030-01-01T00:00:00.250Z edge-1 evener 42 access - {}"
        );
    }

    #[test]
    fn the_facility_makes_the_priority() {
        let spec = SyslogSpec::default();
        assert!(Message::new(&spec).before.starts_with("<190>1 "));
        let spec = SyslogSpec { facility: serde_json::from_str("\"daemon\"").unwrap(), ..spec };
        assert!(Message::new(&spec).before.starts_with("<30>1 "));
    }
}
