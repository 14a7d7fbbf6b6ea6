use proptest::prelude::*;

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";

fn headers(fields: &[(HeaderName, &[u8])]) -> HeaderMap {
    let value = |value: &[u8]| HeaderValue::from_bytes(value).unwrap();
    fields.iter().map(|(name, bytes)| (name.clone(), value(bytes))).collect()
}

fn parent(text: &str) -> Option<TraceContext> {
    TraceContext::parse(&headers(&[(TRACEPARENT, text.as_bytes())]))
}

/// What is left of these fields of `tracestate`.
fn state(fields: &[&str]) -> Option<String> {
    let parent = format!("00-{TRACE}-{SPAN}-00");
    let mut all = vec![(TRACEPARENT, parent.as_bytes())];
    all.extend(fields.iter().map(|field| (TRACESTATE, field.as_bytes())));
    let context = TraceContext::parse(&headers(&all)).expect("the parent counts whatever the state is");
    context.state.map(|state| state.to_str().unwrap().to_owned())
}

#[test]
fn a_parent_is_read_as_the_recommendation_has_it() {
    for (text, flags) in [
        (format!("00-{TRACE}-{SPAN}-00"), 0),
        (format!("00-{TRACE}-{SPAN}-01"), 1),
        (format!("  00-{TRACE}-{SPAN}-01 \t"), 1),
        (format!("00-{TRACE}-{SPAN}-03"), 3),
        (format!("00-{TRACE}-{SPAN}-02"), 2),
        // What no level knows is not passed on.
        (format!("00-{TRACE}-{SPAN}-ff"), 3),
        (format!("00-{TRACE}-{SPAN}-fc"), 0),
        // Later versions may have more.
        (format!("cc-{TRACE}-{SPAN}-01"), 1),
        (format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), 1),
        (format!("01-{TRACE}-{SPAN}-00-"), 0),
    ] {
        let context = parent(&text).expect(&text);
        assert_eq!((context.trace_id.to_string(), context.span_id.to_string()), (TRACE.into(), SPAN.into()));
        assert_eq!((context.flags(), context.is_sampled()), (flags, flags & 1 == 1), "{text}");
        assert_eq!(context.traceparent(), format!("00-{TRACE}-{SPAN}-{flags:02x}"), "in version 00");
    }
}

#[test]
fn what_is_no_parent_does_not_count() {
    let (zero_trace, zero_span) = ("0".repeat(32), "0".repeat(16));
    for text in [
        String::new(),
        "00".to_owned(),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{zero_trace}-{SPAN}-01"),
        format!("00-{TRACE}-{zero_span}-01"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01."),
        format!("cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        format!("CC-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-0A"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("0-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}0-{SPAN}-01"),
        format!("00-{TRACE}-{}-01", &SPAN[1..]),
        format!("00-{TRACE}-{SPAN}0-01"),
        format!("00-{}.-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}-{}.-01", &SPAN[1..]),
        format!("00-{TRACE}-{SPAN}-0."),
        format!(".0-{TRACE}-{SPAN}-01"),
        format!("00 {TRACE}-{SPAN}-01"),
        format!("00-{TRACE} {SPAN}-01"),
        format!("00-{TRACE}-{SPAN} 01"),
        format!("00-{TRACE}-{SPAN}"),
    ] {
        assert_eq!(parent(&text), None, "{text:?}");
    }
}

#[test]
fn a_parent_that_stands_twice_is_none_and_a_state_alone_is_nothing() {
    let [one, other] = ["00", "01"].map(|flags| format!("00-{TRACE}-{SPAN}-{flags}"));
    for second in [&one, &other] {
        let fields = headers(&[(TRACEPARENT, one.as_bytes()), (TRACEPARENT, second.as_bytes())]);
        assert_eq!(TraceContext::parse(&fields), None);
    }
    assert_eq!(TraceContext::parse(&headers(&[(TRACESTATE, b"foo=1")])), None);
    assert_eq!(TraceContext::parse(&headers(&[(TRACEPARENT, "00-\u{e9}".as_bytes())])), None);
}

#[test]
fn the_fields_of_a_state_are_joined() {
    for (fields, expected) in [
        (&["foo=1"][..], Some("foo=1")),
        (&["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], Some("foo=1,bar=2,rojo=1,congo=2,baz=3")),
        (&["foo=1 \t , \t bar=2, \t baz=3"], Some("foo=1,bar=2,baz=3")),
        (&["foo=1", "", ",,bar=2,"], Some("foo=1,bar=2")),
        (&["foo=1,foo=2"], Some("foo=1,foo=2")),
        (&["foo=1,", "bar=2      "], Some("foo=1,bar=2")),
        (&["a=1", "b=2    "], Some("a=1,b=2")),
        (&["0tenant@system=a b", "z0_-*/=~!"], Some("0tenant@system=a b,z0_-*/=~!")),
        (&["", " "], None),
        (&[], None),
    ] {
        assert_eq!(state(fields).as_deref(), expected, "{fields:?}");
    }
}

#[test]
fn a_state_with_a_member_that_is_none_is_left_out() {
    for field in [
        "foo",
        "foo=",
        "=1",
        "foo =1",
        "FOO=1",
        "foo.bar=1",
        "foo@=1,bar=2",
        "@foo=1,bar=2",
        "foo@@bar=1,bar=2",
        "foo@bar@baz=1,bar=2",
        "foo@1bar=1",
        "foo=1,zzz",
        "foo=bar=baz",
        "foo=,bar=3",
        "1foo=1",
        "foo=a\tb",
    ] {
        assert_eq!(state(&["bar=1", field]), None, "{field:?}");
    }
    let fields = [(TRACEPARENT, format!("00-{TRACE}-{SPAN}-00")), (TRACESTATE, "foo=\u{e9}".to_owned())];
    let fields: Vec<_> = fields.iter().map(|(name, text)| (name.clone(), text.as_bytes())).collect();
    assert_eq!(TraceContext::parse(&headers(&fields)).unwrap().state, None);
}

#[test]
fn the_parts_of_a_state_have_lengths() {
    let fits = |key: String, value: &str| {
        let member = format!("{key}={value}");
        // Alone, so that nothing has to make room.
        state(&[&member]).is_some_and(|state| state == member)
    };
    let (z, v) = (|count: usize| "z".repeat(count), "v".repeat(256));
    assert!(fits(z(256), "1") && !fits(z(257), "1"));
    assert!(fits(format!("{}@{}", z(241), z(14)), "1"));
    assert!(!fits(format!("{}@{}", z(242), "v"), "1") && !fits(format!("t@{}", z(15)), "1"));
    assert!(fits("k".to_owned(), &v) && !fits("k".to_owned(), &format!("{v}v")));
}

#[test]
fn a_state_has_32_members_at_most_and_512_characters_are_passed_on() {
    let members = |count: usize| (0..count).map(|n| format!("k{n}=1")).collect::<Vec<_>>();
    let (all, more) = (members(32), members(33));
    assert_eq!(state(&[&all[..16].join(","), &all[16..].join(",")]), Some(all.join(",")));
    assert_eq!(state(&[&more[..32].join(","), &more[32]]), None);
    let long = |key: &str, length: usize| format!("{key}={}", "x".repeat(length - key.len() - 1));
    let just = [long("a", 200), long("b", 311)].join(",");
    // 200 + 1 + 311 characters.
    assert_eq!(just.len(), 512);
    assert!(state(&[&just]).is_none(), "a value has 256 characters at most");
    let just = [long("a", 200), long("b", 200), long("c", 110)].join(",");
    assert_eq!((just.len(), state(&[&just])), (512, Some(just.clone())));
    let over = [long("a", 100), long("b", 200), long("c", 100), long("d", 129), long("e", 100)];
    let without_last_long = [&*over[0], &over[1], &over[2], &over[4]].join(",");
    assert_eq!(without_last_long.len(), 503);
    assert_eq!(state(&[&over.join(",")]), Some(without_last_long), "long members go first, from the end on");
    let short: Vec<_> = (0..6).map(|n| long(&format!("k{n}"), 100)).collect();
    assert_eq!(state(&[&short.join(",")]), Some(short[..5].join(",")), "then the last ones");
}

#[test]
fn roots_and_spans_are_of_random_ids() {
    let mut random = Random::with_seed(7);
    let (trace, span) = (TraceId::random(&mut random), SpanId::random(&mut random));
    let root = TraceContext::root(trace, span, true);
    assert!(root.is_sampled() && !TraceContext::root(trace, span, false).is_sampled());
    let next = SpanId::random(&mut random);
    let inner = root.in_span(next);
    assert_ne!(next, span);
    assert_eq!((inner.trace_id, inner.span_id, inner.is_sampled()), (trace, next, true));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(trace in 1..=u128::MAX, span in 1..=u64::MAX, flags in 0_u8..4) {
        let context = TraceContext {
            trace_id: TraceId(trace.to_be_bytes()),
            span_id: SpanId(span.to_be_bytes()),
            flags,
            state: None,
        };
        let fields = HeaderMap::from_iter([(TRACEPARENT, context.traceparent())]);
        prop_assert_eq!(TraceContext::parse(&fields), Some(context));
    }

    #[test]
    fn whatever_is_taken_has_the_form_of_version_00(bytes in "[0-9a-fA-F\\-. ]{40,70}") {
        if let Some(context) = parent(&bytes) {
            let own = context.traceparent();
            let own = own.to_str().unwrap();
            prop_assert_eq!(own.len(), LENGTH);
            prop_assert_eq!(&own[3..52], &bytes.trim()[3..52]);
        }
    }

    #[test]
    fn nearly_right_parents_are_read_or_refused_but_never_made_up(
        at in 0..LENGTH,
        other in any::<char>().prop_filter("visible", char::is_ascii_graphic),
    ) {
        let right = format!("00-{TRACE}-{SPAN}-01");
        let mut changed = right.into_bytes();
        changed[at] = other as u8;
        let changed = String::from_utf8(changed).unwrap();
        if let Some(context) = parent(&changed) {
            prop_assert_eq!(&context.trace_id.to_string(), &changed[3..35]);
            prop_assert_eq!(&context.span_id.to_string(), &changed[36..52]);
        }
    }

    #[test]
    fn a_state_is_whole_members_in_their_order(
        members in prop::collection::vec("[a-z]{1,20}=[a-y ]{0,150}z", 0..34),
        cut in 0..34_usize,
    ) {
        let (first, second) = members.split_at(cut.min(members.len()));
        let found = state(&[&first.join(","), &second.join(" ,\t")]);
        let found = found.as_deref();
        prop_assert!(found.is_none_or(|found| found.len() <= 512));
        prop_assert_eq!(found.is_none(), members.is_empty() || members.len() > 32);
        let mut rest = members.iter();
        for member in found.into_iter().flat_map(|found| found.split(',')) {
            prop_assert!(rest.any(|known| known.trim() == member), "{}", member);
        }
    }
}
