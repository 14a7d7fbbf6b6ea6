use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// Whether a message is one of gRPC: `application/grpc`, perhaps with a suffix or parameters. gRPC-Web is none.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let media = media_type(headers);
    let Some((start, suffix)) = media.split_at_checked(GRPC.len()) else { return false };
    start.eq_ignore_ascii_case(GRPC) && matches!(suffix.first(), None | Some(b'+'))
}

/// Whether a message goes on with events for as long as anybody listens.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case(b"text/event-stream")
}

/// The media type without its parameters; empty where there is none.
fn media_type(headers: &HeaderMap) -> &[u8] {
    let field = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    field.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(media_type: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(media_type))])
    }

    #[test]
    fn grpc_is_told_by_its_media_type() {
        for (media_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC; charset=utf-8", true),
            ("application/grpc ;a=b", true),
            ("application/grpc x", false),
            ("application/grpc-web", false),
            ("application/grpc-web-text+proto", false),
            ("application/grpcx", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&of(media_type)), expected, "{media_type}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn parameters_and_case_do_not_matter_to_events() {
        assert!(is_event_stream(&of("Text/Event-Stream; charset=utf-8")));
        assert!(!is_event_stream(&of("text/event-streams")) && !is_event_stream(&of("text/plain")));
    }
}
