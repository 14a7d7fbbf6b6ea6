//! Evener inside another program, on the program's own tokio runtime, beside whatever else runs there.
//!
//! ```text
//! cargo run --example embed
//! ```

use std::error::Error;
use std::path::Path;

use evener::app::App;
use evener::types::BindAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Port 0 lets the kernel choose, and `addresses` tells what it chose.
const CONFIG: &str = r#"
listeners: { web: { bind: "127.0.0.1:0" } }
routes:
  - match: { path: { exact: /hello } }
    respond: { body: "hello from {what}\n" }
log: { access: { format: off } }
"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    print!("{}", serve_and_ask("the edge within").await?);
    Ok(())
}

/// Starts an edge, sends it a request, stops it, and gives the response.
pub(crate) async fn serve_and_ask(what: &str) -> Result<String, Box<dyn Error>> {
    // Everything that can be wrong is found by `load_text` and `bind`, before anything runs.
    let app = App::builder().load_text("embedded", Path::new("."), &CONFIG.replace("{what}", what))?;
    let edge = app.bind()?.start();
    let response = match &edge.addresses()[0] {
        (_, BindAddr::Inet(address)) => {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
            let mut response = String::new();
            stream.read_to_string(&mut response).await?;
            response
        }
        (listener, BindAddr::Unix(path)) => format!("{listener} is at {}", path.display()),
    };
    edge.stop().await;
    Ok(response)
}
