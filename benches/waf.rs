//! What `waf` costs a request, with the OWASP Core Rule Set.

#![expect(clippy::expect_used, reason = "a bench that cannot start has nothing to measure")]

use divan::Bencher;
use evener::filters::{Waf, WafSettings};
use evener::hooks::testing::{self, Exchange};
use tokio::runtime::Builder;
use tokio::time::Instant;

fn main() {
    divan::main();
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

fn get() -> Exchange {
    browser("/products/shoes?page=2&sort=price").with_header("cookie", "session=0123456789abcdef")
}

fn short_form() -> Exchange {
    posted(FORM, "name=Ada+Lovelace&street=12+St+James+Square&note=Please+ring+twice".to_owned())
}

fn long_value() -> Exchange {
    posted(FORM, format!("text={}", "word+".repeat(9600)))
}

fn many_values() -> Exchange {
    let items: Vec<_> = (0..250).map(|n| format!("{{\"id\":{n},\"name\":\"thing number {n}\"}}")).collect();
    posted(JSON, format!("[{}]", items.join(",")))
}

fn browser(target: &str) -> Exchange {
    let exchange = Exchange::get(target, Instant::now()).with_header("accept", "*/*");
    exchange.with_header("user-agent", "Mozilla/5.0 (X11; Linux x86_64)")
}

fn posted(kind: &str, body: String) -> Exchange {
    let length = body.len().to_string();
    let exchange = browser("/orders").with_method("POST").with_header("content-type", kind);
    exchange.with_header("content-length", &length).with_body(body)
}

#[divan::bench(args = [get as fn() -> Exchange, short_form, long_value, many_values], sample_size = 1)]
fn request(bencher: Bencher<'_, '_>, exchange: fn() -> Exchange) {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let filter = testing::build(WafSettings::default(), Waf::build).expect("libmodsecurity and its rules");
    bencher.with_inputs(exchange).bench_local_values(|mut exchange| {
        runtime.block_on(exchange.on_request(&filter)).expect("an inspection")
    });
}
