use http::HeaderValue;
use http::header::GetAll;
use smallvec::SmallVec;

/// So many members it may have.
const MOST_MEMBERS: usize = 32;
/// So many characters are passed on, at most.
const LONGEST: usize = 512;
/// Members that are longer than this go first where there are too many characters.
const LONG_MEMBER: usize = 128;

/// One `tracestate` for all fields of that name, in their order; `None` where one of them is none, or all are empty.
pub(super) fn parse(fields: &GetAll<'_, HeaderValue>) -> Option<HeaderValue> {
    let mut members = SmallVec::<[&str; 4]>::new();
    for field in fields.iter() {
        // Text of visible characters, spaces and tabs.
        for member in field.to_str().ok()?.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            if members.len() == MOST_MEMBERS || !is_member(member) {
                return None;
            }
            members.push(member);
        }
    }
    shorten(&mut members);
    let length = members.iter().map(|member| member.len() + 1).sum::<usize>().checked_sub(1)?;
    let mut fields = fields.iter();
    match (fields.next().filter(|field| field.len() == length), fields.next()) {
        // Of one field all its letters: mostly it is as it is to be.
        (Some(field), None) => Some(field.clone()),
        _ => HeaderValue::try_from(members.join(",")).ok(),
    }
}

/// Takes whole members out until the rest is short enough: long ones first, and then the oldest, which are the last.
fn shorten(members: &mut SmallVec<[&str; 4]>) {
    let is_too_long =
        |members: &[&str]| members.iter().map(|member| member.len() + 1).sum::<usize>() > LONGEST + 1;
    while is_too_long(members) {
        match members.iter().rposition(|member| member.len() > LONG_MEMBER) {
            Some(long) => drop(members.remove(long)),
            None => drop(members.pop()),
        }
    }
}

/// Whether it is a key and a value with `=` between them. Values have no `=`, or the key would.
fn is_member(member: &str) -> bool {
    let Some((key, value)) = member.split_once('=') else { return false };
    let is_value = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'=';
    is_key(key) && (1..=256).contains(&value.len()) && value.bytes().all(is_value)
}

/// A system, or a tenant of one: `system` or `tenant@system`.
fn is_key(key: &str) -> bool {
    match key.split_once('@') {
        None => is_name(key, 256, false),
        Some((tenant, system)) => is_name(tenant, 241, true) && is_name(system, 14, false),
    }
}

fn is_name(name: &str, longest: usize, may_begin_with_digit: bool) -> bool {
    let Some(&first) = name.as_bytes().first() else { return false };
    let is_first = first.is_ascii_lowercase() || may_begin_with_digit && first.is_ascii_digit();
    let is_next = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/".contains(&byte);
    is_first && name.len() <= longest && name.bytes().all(is_next)
}
