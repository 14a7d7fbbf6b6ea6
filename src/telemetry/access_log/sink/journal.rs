use crate::config::spec::JournaldSpec;

/// Makes entries of the journal in its own protocol. The lines are fields of it already.
pub(super) struct Message {
    /// The fields that all entries have.
    fields: String,
}

impl Message {
    pub(super) fn new(spec: &JournaldSpec) -> Self {
        // The priority `informational`.
        Self { fields: format!("PRIORITY=6\nSYSLOG_IDENTIFIER={}\n", spec.tag) }
    }
}

impl super::Message for Message {
    fn write(&self, line: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.fields.as_bytes());
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}
