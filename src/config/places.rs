//! Where a key belongs that stands in the wrong map: the most frequent slip of the indent.

use serde_json::Value;

use super::spec::Spec;
use super::{KeyPath, Segment};

/// Where the key at the end of `path`, which is unknown there, would be known: in a map inside of the one where it
/// stands, or in one around it.
pub(super) fn elsewhere(path: &KeyPath) -> Option<String> {
    let (Segment::Key(key), around) = path.segments().split_last()? else { return None };
    let schema = schemars::schema_for!(Spec);
    let mut places = Places { schema: schema.as_value(), key, found: Vec::new() };
    places.collect(schema.as_value(), &mut Vec::new());
    let found = places.found;
    let inside: Vec<String> = found.iter().filter_map(|place| inside(place, around)).collect();
    let outside =
        found.iter().filter(|place| is_around(place, around)).map(|place| around[..place.len()].to_vec());
    match inside.as_slice() {
        [] => {}
        [place] => return Some(format!("`{key}` is a key of `{place}`")),
        [one, other] => return Some(format!("`{key}` is a key of `{one}` and of `{other}`")),
        _ => return None,
    }
    let outside = outside.map(KeyPath::from).max_by_key(|place| place.segments().len())?;
    Some(match outside.segments() {
        [] => format!("`{key}` is a key of the file itself"),
        _ => format!("`{key}` is a key of `{outside}`"),
    })
}

/// A step into the maps of the spec.
#[derive(Clone, PartialEq)]
enum Step {
    Key(String),
    /// Any name.
    Name,
    /// Any item of a list.
    Item,
}

struct Places<'s> {
    schema: &'s Value,
    key: &'s str,
    /// The maps that know the key.
    found: Vec<Vec<Step>>,
}

impl<'s> Places<'s> {
    fn collect(&mut self, value: &'s Value, at: &mut Vec<Step>) {
        let value = self.without_detours(value);
        let inner = [(Step::Item, &value["items"]), (Step::Name, &value["additionalProperties"])];
        let keys = value["properties"].as_object().into_iter().flatten();
        let keys = keys.map(|(key, value)| (Step::Key(key.clone()), value));
        if value["properties"].get(self.key).is_some() {
            self.found.push(at.clone());
        }
        for (step, value) in keys.chain(inner).filter(|(_, value)| value.is_object()) {
            at.push(step);
            self.collect(value, at);
            at.pop();
        }
    }

    /// Follows references, and leaves aside that a value may be `null`.
    fn without_detours(&self, value: &'s Value) -> &'s Value {
        let reference = value["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
        if let Some(target) = reference.and_then(|pointer| self.schema.pointer(pointer)) {
            return target;
        }
        match value["anyOf"].as_array().and_then(|alternatives| alternatives.first()) {
            Some(first) => self.without_detours(first),
            None => value,
        }
    }
}

fn fits(step: &Step, segment: &Segment) -> bool {
    match (step, segment) {
        (Step::Key(known), Segment::Key(key)) => known == key,
        (Step::Name, Segment::Key(_)) | (Step::Item, Segment::Index(_)) => true,
        _ => false,
    }
}

/// What leads from the map at `around` to a place inside of it.
fn inside(place: &[Step], around: &[Segment]) -> Option<String> {
    let (shared, rest) = place.split_at_checked(around.len())?;
    let leads_there =
        !rest.is_empty() && shared.iter().zip(around).all(|(step, segment)| fits(step, segment));
    leads_there.then(|| written(rest))
}

fn is_around(place: &[Step], around: &[Segment]) -> bool {
    place.len() < around.len() && place.iter().zip(around).all(|(step, segment)| fits(step, segment))
}

fn written(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Item => text.push_str("[]"),
            Step::Key(_) | Step::Name if text.is_empty() => {}
            Step::Key(_) | Step::Name => text.push('.'),
        }
        match step {
            Step::Key(key) => text.push_str(key),
            Step::Name => text.push_str("NAME"),
            Step::Item => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> KeyPath {
        KeyPath::default().child("routes").index(3)
    }

    #[test]
    fn a_key_of_a_map_inside_is_found() {
        assert_eq!(elsewhere(&route().child("path")).unwrap(), "`path` is a key of `match`");
        let filters = KeyPath::default().child("filters");
        assert_eq!(elsewhere(&filters).unwrap(), "`filters` is a key of `routes[]`");
        let idle = KeyPath::default().child("listeners").child("web").child("limits").child("idle");
        assert_eq!(elsewhere(&idle).unwrap(), "`idle` is a key of `body` and of `keepalive`");
    }

    #[test]
    fn a_key_of_a_map_around_is_found() {
        let pool = route().child("match").child("pool");
        assert_eq!(elsewhere(&pool).unwrap(), "`pool` is a key of `routes[3]`");
        let pools = route().child("pools");
        assert_eq!(elsewhere(&pools).unwrap(), "`pools` is a key of the file itself");
    }

    #[test]
    fn an_unknown_key_is_known_nowhere() {
        assert_eq!(elsewhere(&route().child("proxy_pass")), None);
    }
}
