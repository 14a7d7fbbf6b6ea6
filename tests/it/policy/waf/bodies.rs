use super::{FORM, JSON, guarded, post, send};

const ATTACK: &str = "1%27+OR+%271%27=%271";

/// A form of so many bytes of words, and then this.
fn form(length: usize, end: &str) -> Vec<u8> {
    let words = "harmless+".repeat(length / 9);
    post(FORM, format!("text={words}&note={end}"))
}

#[tokio::test]
async fn longer_bodies_than_are_looked_at_are_refused() {
    let (endpoint, edge) = guarded("body: { max: 2KiB }").await;
    assert_eq!(send(&edge, form(1500, "hello")).await.status, 200);
    assert_eq!(send(&edge, form(1500, ATTACK)).await.status, 403);
    for request in [form(3000, "hello"), form(100_000, "hello")] {
        let response = send(&edge, request).await;
        assert_eq!((response.status, response.text().contains("waf_body_too_large")), (413, true));
    }
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn or_their_beginning_is_looked_at_where_that_is_asked_for() {
    let (endpoint, edge) = guarded("body: { max: 2KiB, on_larger: pass }").await;
    for request in [form(3000, "hello"), form(100_000, ATTACK)] {
        assert_eq!(send(&edge, &request).await.status, 200);
        assert!(request.ends_with(&endpoint.last().body));
    }
    let early = post(FORM, format!("note={ATTACK}&text={}", "harmless+".repeat(9000)));
    assert_eq!(send(&edge, early).await.status, 403);
    // A beginning cannot be whole, and is not refused for that alone.
    let numbers: Vec<u32> = (0..30_000).collect();
    let long = |first: &str| post(JSON, serde_json::json!({ "a": first, "numbers": numbers }).to_string());
    assert_eq!(send(&edge, long("hello")).await.status, 200);
    assert_eq!(send(&edge, long("<script>alert(1)</script>")).await.status, 403);
    // Whoever claims that a body is not whole is not believed.
    let claims = format!("{JSON}Evener-Partial-Body: 1\r\n");
    assert_eq!(send(&edge, post(&claims, "{\"a\":")).await.status, 403);
}

#[tokio::test]
async fn bodies_may_be_left_alone() {
    let (endpoint, edge) = guarded("body: { max: 0B }").await;
    assert_eq!(send(&edge, form(100, ATTACK)).await.status, 200);
    assert!(endpoint.last().body.ends_with(ATTACK.as_bytes()));
}

#[tokio::test]
async fn more_arguments_than_the_engine_looks_at_are_refused() {
    let (_endpoint, edge) = guarded("").await;
    let many = (0..1100).map(|n| format!("a{n}=1")).collect::<Vec<_>>().join("&");
    assert_eq!(send(&edge, post(FORM, format!("{many}&q={ATTACK}"))).await.status, 403);
    let some = (0..200).map(|n| format!("a{n}=1")).collect::<Vec<_>>().join("&");
    assert_eq!(send(&edge, post(FORM, some)).await.status, 200);
}
