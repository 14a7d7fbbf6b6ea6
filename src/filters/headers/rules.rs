use http::{HeaderName, HeaderValue};

use crate::config::spec::NamedMap;
use crate::hooks::{BuildError, HookError, RequestVars};
use crate::types::{Template, VarName, Variable, Vars};

use super::owned::{Side, reason};
use super::{FieldName, HeaderSettings};

/// What is done to the headers of one side, checked.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) remove: Vec<HeaderName>,
    pub(super) set: Vec<(HeaderName, Text)>,
    pub(super) add: Vec<(HeaderName, Text)>,
}

/// A header's value: made once, or for each message.
#[derive(Debug)]
pub(super) enum Text {
    Constant(HeaderValue),
    Template(Template),
}

impl Rules {
    pub(super) fn build(settings: HeaderSettings, side: Side) -> Result<Self, BuildError> {
        let HeaderSettings { set, add, remove } = settings;
        if set.is_empty() && add.is_empty() && remove.is_empty() {
            return Err(BuildError::new("nothing to do; write at least one of `set`, `add` and `remove`"));
        }
        let removed = remove
            .into_iter()
            .enumerate()
            .map(|(index, name)| allowed(side, &name).map_err(|error| error.at(index).at("remove")));
        Ok(Self {
            remove: removed.collect::<Result<_, _>>()?,
            set: fields(set, side).map_err(|error| error.at("set"))?,
            add: fields(add, side).map_err(|error| error.at("add"))?,
        })
    }

    /// The headers that tell of the client's certificate: what a client itself says under their names is made up.
    pub(super) fn claims(&self) -> Vec<HeaderName> {
        let fields = self.set.iter().chain(&self.add);
        fields.filter(|(_, text)| text.tells_of_client_cert()).map(|(name, _)| name.clone()).collect()
    }

    /// `remove X-Debug, set X-Env`
    pub(super) fn describe(&self) -> String {
        let removed = self.remove.iter().map(|name| format!("remove {name}"));
        let set = self.set.iter().map(|(name, _)| format!("set {name}"));
        let added = self.add.iter().map(|(name, _)| format!("add {name}"));
        removed.chain(set).chain(added).collect::<Vec<_>>().join(", ")
    }
}

fn fields(fields: NamedMap<FieldName, Template>, side: Side) -> Result<Vec<(HeaderName, Text)>, BuildError> {
    let field = |(name, template)| {
        let at_name = |error: BuildError| error.at(&name);
        let allowed_name = allowed(side, &name).map_err(at_name)?;
        Ok((allowed_name, Text::build(template).map_err(at_name)?))
    };
    fields.into_iter().map(field).collect()
}

fn allowed(side: Side, name: &FieldName) -> Result<HeaderName, BuildError> {
    let Some((reason, remedy)) = reason(side, name.name()) else { return Ok(name.name().clone()) };
    let error = BuildError::new(format!("`{name}` cannot be changed: {reason}"));
    Err(match remedy {
        Some(remedy) => error.with_help(remedy),
        None => error,
    })
}

impl Text {
    fn build(template: Template) -> Result<Self, BuildError> {
        let mut value = Vec::new();
        template.expand(&NoVars, &mut value);
        let value = HeaderValue::try_from(value).map_err(|_| {
            BuildError::new("not a header's value; line breaks and other control characters are not allowed")
        })?;
        Ok(if template.as_constant().is_some() { Self::Constant(value) } else { Self::Template(template) })
    }

    /// Whether the value is known only once an endpoint is.
    pub(super) fn needs_endpoint(&self) -> bool {
        matches!(self, Self::Template(template) if template.needs_endpoint())
    }

    fn tells_of_client_cert(&self) -> bool {
        matches!(self, Self::Template(template) if template.tells_of_client_cert())
    }

    /// A constant is shared, not copied; anything else costs one allocation. `None` where it would tell of a client's
    /// certificate and there is none: endpoints take the mere presence of such a header for one.
    pub(super) fn value(&self, vars: &RequestVars<'_>) -> Result<Option<HeaderValue>, HookError> {
        match self {
            Self::Constant(value) => Ok(Some(value.clone())),
            Self::Template(_) if self.tells_of_client_cert() && !vars.has_client_cert() => Ok(None),
            Self::Template(template) => vars.header_value(template).map(Some),
        }
    }
}

/// Leaves out the variables, so that the text between them can be checked.
struct NoVars;

impl Vars for NoVars {
    fn write(&self, _: Variable, _: &mut Vec<u8>) {}

    fn write_named(&self, _: &VarName, _: &mut Vec<u8>) {}
}
