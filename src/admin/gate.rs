use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use tokio::time::Instant;

use crate::config::spec::Anonymous;
use crate::runtime::{Control, Deed, Via};

use super::caller::{Caller, Scope};
use super::guard;
use super::guesses::Guesses;
use super::problem::Problem;

/// Finds out who asks, and lets them do no more than they may.
#[derive(Debug)]
pub(super) struct Gate {
    control: Arc<Control>,
    guesses: Guesses,
}

/// Why a request goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its token is none of ours.
    WrongToken,
    /// Too many of those came from there.
    Barred(Duration),
    NoToken,
    Scope,
    /// A page of somebody else has a browser ask for it.
    Stranger,
}

const BEARER: &[u8] = b"Bearer ";

impl Gate {
    pub(super) fn new(control: Arc<Control>) -> Self {
        Self { control, guesses: Guesses::default() }
    }

    /// Who asks, if they may have what they ask for.
    pub(super) fn admit<B>(&self, request: &Request<B>, via: Via, now: Instant) -> Result<Caller, Refusal> {
        let needed = needed(request.method(), request.uri().path());
        let nobody = Caller::without_token(via, Anonymous::Health);
        // No browser comes over the control socket.
        let is_foreign = !matches!(via, Via::ControlSocket { .. }) && guard::is_foreign(request);
        let caller = match needed {
            _ if is_foreign => Err(Refusal::Stranger),
            // Whatever they show.
            Scope::Health => return Ok(nobody),
            Scope::Read | Scope::Operate => self.caller(request.headers(), via, now),
        };
        let refusal = match &caller {
            Ok(caller) if caller.scope < needed && caller.is_known() => Refusal::Scope,
            Ok(caller) if caller.scope < needed => Refusal::NoToken,
            Ok(caller) => return Ok(caller.clone()),
            Err(refusal) => *refusal,
        };
        // Those who only look, and have shown nothing, are no danger.
        if needed == Scope::Operate || refusal != Refusal::NoToken {
            let by = caller.as_ref().unwrap_or(&nobody).actor();
            let asked = format!("{} {}", request.method(), request.uri().path());
            let deed = Deed::denied(refusal.reason()).answered(asked, refusal.problem().status.as_u16());
            self.control.changes().audit().record(&by, deed, now);
        }
        Err(refusal)
    }

    fn caller(&self, headers: &HeaderMap, via: Via, now: Instant) -> Result<Caller, Refusal> {
        let Via::Listener(peer) = via else { return Ok(Caller::without_token(via, Anonymous::Read)) };
        let snapshot = self.control.live().snapshot();
        let admin = snapshot.admin.as_ref();
        let shown: Vec<_> = headers.get_all(AUTHORIZATION).iter().collect();
        let [shown] = shown[..] else {
            let anonymous = admin.map_or(Anonymous::Health, |admin| admin.anonymous);
            return match shown.len() {
                0 => Ok(Caller::without_token(via, anonymous)),
                // Which of them would count is not for others to guess.
                _ => Err(Refusal::WrongToken),
            };
        };
        let from = peer.address().map(|address| address.ip());
        if let Some(left) = self.guesses.barred_for(from, now) {
            return Err(Refusal::Barred(left));
        }
        let token = bearer(shown).and_then(|token| admin?.token(token));
        token.map(|token| Caller::with_token(via, token)).ok_or_else(|| {
            self.guesses.note(from, now);
            Refusal::WrongToken
        })
    }
}

/// The token of `Bearer TOKEN`; the name of the scheme has no case (RFC 9110, 11.1).
fn bearer(shown: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = shown.as_bytes().split_at_checked(BEARER.len())?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim_ascii())
}

/// What is needed to have this. What is not known is for those who may do everything.
fn needed(method: &Method, path: &str) -> Scope {
    // The dashboard is a page without data; it asks for those itself.
    let is_open = matches!(path, "/healthz" | "/readyz" | "/") || path.starts_with("/dashboard/");
    match *method {
        // Nothing is told to it but what methods there are, and those are no secret.
        Method::OPTIONS => Scope::Health,
        _ if is_change(method) => Scope::Operate,
        _ if is_open => Scope::Health,
        _ => Scope::Read,
    }
}

/// Whether a request with this method is to change something, for all that is known of it.
pub(super) fn is_change(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::WrongToken => "the token is none that is known here",
            Self::Barred(_) => "too many wrong tokens came from there",
            Self::NoToken => "no token",
            Self::Scope => "the token is only good for reading",
            Self::Stranger => "the page of another origin has asked",
        }
    }

    fn problem(self) -> Problem {
        match self {
            Self::WrongToken => Problem::new(
                StatusCode::UNAUTHORIZED,
                self.reason(),
                "send one of admin.tokens as `Authorization: Bearer TOKEN`",
            ),
            Self::NoToken => Problem::new(
                StatusCode::UNAUTHORIZED,
                "this needs a token",
                "send one of admin.tokens as `Authorization: Bearer TOKEN`",
            ),
            Self::Barred(_) => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, self.reason(), "wait, or use the control socket")
            }
            Self::Scope => {
                Problem::new(StatusCode::FORBIDDEN, self.reason(), "use a token with `scope: operate`")
            }
            Self::Stranger => Problem::new(
                StatusCode::FORBIDDEN,
                "pages of another origin are not answered",
                "use the dashboard of this process, type the address, or use a client that is no browser",
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.problem().into_response();
        let challenge = match self {
            Self::WrongToken => Some("Bearer realm=\"evener\", error=\"invalid_token\""),
            Self::NoToken => Some("Bearer realm=\"evener\""),
            Self::Barred(_) | Self::Scope | Self::Stranger => None,
        };
        let headers = response.headers_mut();
        headers.extend(challenge.map(|text| (WWW_AUTHENTICATE, HeaderValue::from_static(text))));
        if let Self::Barred(left) = self {
            headers.insert(RETRY_AFTER, HeaderValue::from(left.as_secs() + 1));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::config::Origin;
    use crate::runtime::{Live, Peer, Registry, Unchanging, assemble};

    const READ: &str = "reads-but-never-writes";
    const OPERATE: &str = "operates-all-there-is";

    fn gate(anonymous: &str) -> Gate {
        let text = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes: [{{ respond: {{}} }}]
admin:
  bind: 127.0.0.1:0
  anonymous: {anonymous}
  tokens: {{ grafana: {{ token: {READ}, scope: read }}, deploy: {{ token: {OPERATE}, scope: operate }} }}
"
        );
        let snapshot = assemble(&Origin::test(&text), &Registry::with_built_ins(), None).unwrap().snapshot;
        Gate::new(Arc::new(Control::new(Arc::new(Live::new(snapshot)), Arc::new(Unchanging::default()))))
    }

    fn peer() -> Via {
        Via::Listener(Peer::Inet(SocketAddr::from(([192, 0, 2, 1], 4000))))
    }

    /// The status of a refusal, or the name of whom was let in.
    fn asked(gate: &Gate, line: &str, fields: &[(&str, &str)], via: Via) -> Result<String, u16> {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost:9901");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let admitted = gate.admit(&request.body(()).unwrap(), via, Instant::now());
        admitted.map(|caller| caller.name).map_err(|refusal| {
            let response = refusal.into_response();
            let has_challenge = response.headers().contains_key(WWW_AUTHENTICATE);
            assert_eq!(has_challenge, response.status() == StatusCode::UNAUTHORIZED);
            response.status().as_u16()
        })
    }

    fn with(token: &str) -> (&'static str, String) {
        ("authorization", format!("Bearer {token}"))
    }

    #[test]
    fn everybody_may_do_what_their_scope_says_and_no_more() {
        let (read, operate) = (with(READ), with(OPERATE));
        let wrong = with("operates-all-there-iS");
        for (anonymous, reads) in [("read", Ok("anonymous")), ("health", Err(401))] {
            let gate = gate(anonymous);
            for (line, none, reader, operator) in [
                ("GET /healthz", Ok("anonymous"), Ok("anonymous"), Ok("anonymous")),
                ("GET /v1/status", reads, Ok("grafana"), Ok("deploy")),
                ("HEAD /metrics", reads, Ok("grafana"), Ok("deploy")),
                ("POST /v1/reload", Err(401), Err(403), Ok("deploy")),
                ("POST /healthz", Err(401), Err(403), Ok("deploy")),
                ("PUT /v1/log", Err(401), Err(403), Ok("deploy")),
                ("DELETE /v1/status", Err(401), Err(403), Ok("deploy")),
                ("BREW /v1/status", Err(401), Err(403), Ok("deploy")),
                ("OPTIONS /v1/status", Ok("anonymous"), Ok("anonymous"), Ok("anonymous")),
            ] {
                let ask = |fields: &[(&str, &str)]| asked(&gate, line, fields, peer());
                assert_eq!(ask(&[]), none.map(str::to_owned), "{line}");
                assert_eq!(ask(&[(read.0, &read.1)]), reader.map(str::to_owned), "{line}");
                assert_eq!(ask(&[(operate.0, &operate.1)]), operator.map(str::to_owned), "{line}");
                let uid = Via::ControlSocket { uid: 7 };
                let here = asked(&gate, line, &[(wrong.0, &wrong.1)], uid).unwrap();
                assert!(here == "uid 7", "{line}: {here}");
            }
        }
    }

    #[test]
    fn what_is_no_token_lets_nobody_in() {
        for shown in [
            "Bearer",
            "Bearer ",
            "Basic b3BlcmF0ZXM6",
            OPERATE,
            "Bearer operates-all-there-i",
            "Bearer operates-all-there-iss",
            "Bearer reads-but-never-writes,operates-all-there-is",
        ] {
            let told = asked(&gate("read"), "GET /v1/status", &[("authorization", shown)], peer());
            assert_eq!(told, Err(401), "{shown}");
        }
        let (name, operate) = with(OPERATE);
        let twice = [(name, &*operate), (name, &*operate)];
        assert_eq!(asked(&gate("read"), "POST /v1/reload", &twice, peer()), Err(401));
        let lower = [(name, &*operate.replace("Bearer", "bearer"))];
        assert_eq!(asked(&gate("read"), "POST /v1/reload", &lower, peer()), Ok("deploy".to_owned()));
    }

    #[test]
    fn whoever_guesses_is_heard_no_more_and_others_are() {
        let gate = gate("read");
        let (wrong, right) = (with("wrong-wrong-wrong-wrong"), with(OPERATE));
        let ask = |token: &(&str, String), via| asked(&gate, "POST /v1/reload", &[(token.0, &token.1)], via);
        (0..20).for_each(|_| assert_eq!(ask(&wrong, peer()), Err(401)));
        (0..20).for_each(|_| assert_eq!(ask(&wrong, peer()), Err(429)));
        assert_eq!(ask(&right, peer()), Err(429));
        assert_eq!(asked(&gate, "GET /v1/status", &[], peer()), Ok("anonymous".to_owned()));
        assert_eq!(ask(&right, Via::Listener(Peer::Unix)), Ok("deploy".to_owned()));
        let noted = gate.control.changes().audit().recent();
        // A minute may begin while they come.
        assert!((30..43).contains(&noted.len()), "no more are listed in one minute");
        assert_eq!((&*noted[0].who, &*noted[0].from), ("nobody known", "192.0.2.1:4000"));
        assert_eq!(
            (noted[0].target.as_deref(), noted[0].request.as_deref()),
            (None, Some("POST /v1/reload"))
        );
        assert_eq!((noted[0].status, noted[25].status), (Some(401), Some(429)));
        assert!(noted.iter().all(|entry| !format!("{entry:?}").contains("wrong-wrong")));
    }

    #[test]
    fn pages_of_others_are_not_answered() {
        let gate = gate("read");
        let (name, operate) = with(OPERATE);
        let ask = |fields: &[(&str, &str)], via| {
            let fields: Vec<_> = fields.iter().copied().chain([(name, &*operate)]).collect();
            asked(&gate, "POST /v1/reload", &fields, via)
        };
        for fields in [
            &[][..],
            &[("origin", "http://localhost:9901")],
            &[("origin", "https://LOCALHOST:9901"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(ask(fields, peer()), Ok("deploy".to_owned()), "{fields:?}");
        }
        for fields in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://localhost")],
            &[("origin", "http://localhost:9902")],
            &[("origin", "ftp://localhost:9901")],
            &[("origin", "http://localhost:9901"), ("origin", "http://evil.example")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site"), ("origin", "http://localhost:9901")],
        ] {
            assert_eq!(ask(fields, peer()), Err(403), "{fields:?}");
        }
        // No browser comes there.
        let cross = [("sec-fetch-site", "cross-site")];
        assert_eq!(ask(&cross, Via::ControlSocket { uid: 7 }), Ok("uid 7".to_owned()));
        for line in ["GET /v1/status", "GET /metrics", "GET /healthz", "OPTIONS /v1/status", "GET /"] {
            assert_eq!(asked(&gate, line, &cross, peer()), Err(403), "{line}");
        }
    }
}
