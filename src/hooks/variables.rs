use bytes::Bytes;

use crate::types::VarName;

use super::HookError;

/// The longest value of a variable.
const LONGEST: usize = 4096;

/// What the filters of a request have told of it, for those after them, for keys and for templates.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables(Vec<(VarName, Bytes)>);

impl Variables {
    pub(crate) const NONE: &'static Self = &Self(Vec::new());

    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let known = self.0.iter().find(|(known, _)| known.as_str() == name);
        known.map(|(_, value)| &**value)
    }

    pub(super) fn set(&mut self, name: &VarName, value: Bytes) -> Result<(), HookError> {
        if value.len() > LONGEST {
            let length = value.len();
            return Err(HookError::new(format!(
                "the value of {{var.{name}}} has {length} bytes, of {LONGEST}"
            )));
        }
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.0.push((name.clone(), value)),
        }
        Ok(())
    }
}
