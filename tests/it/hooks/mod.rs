//! The programs under examples/, and what docs/hooks.md says of hooks.

#[path = "../../../examples/custom_filter.rs"]
#[expect(dead_code, reason = "its main is for the example's own program")]
mod custom_filter;
#[path = "../../../examples/custom_policy.rs"]
#[expect(dead_code, reason = "its main is for the example's own program")]
mod custom_policy;
#[path = "../../../examples/embed.rs"]
#[expect(dead_code, reason = "its main is for the example's own program")]
mod embed;

mod bodies;
mod contract;
mod early_bodies;
mod failures;
mod fetch;
mod filter_example;
mod kept_example;
mod policy_example;
mod policy_hooks;

use std::path::{Path, PathBuf};

use evener::app::{App, AppBuilder};

/// What is said of a configuration that must be refused.
fn refusal(builder: &AppBuilder, config: &str) -> String {
    builder.load_text("edge.yaml", Path::new("/"), config).map(|_| ()).unwrap_err().to_string()
}

fn example(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/conf").join(file)
}

#[test]
fn the_configurations_of_the_examples_are_accepted_without_a_warning() {
    let with_filter = App::builder().filter("tenant", custom_filter::Tenants::build);
    let with_policy = App::builder().policy("sticky_path", custom_policy::StickyPath::build);
    for (builder, file) in [(with_filter, "custom-filter.yaml"), (with_policy, "custom-policy.yaml")] {
        let app = builder.load(&example(file)).unwrap_or_else(|error| panic!("{error}"));
        assert!(app.warnings().is_empty(), "{}", app.warnings());
    }
}

#[test]
fn a_program_without_the_hook_refuses_its_configuration() {
    let error = App::builder().load(&example("custom-filter.yaml")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("unknown filter `tenant`"), "{error}");
    let error = App::builder().load(&example("custom-policy.yaml")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("unknown policy `sticky_path`"), "{error}");
}

/// What docs/hooks.md shows is what is compiled and tested here.
#[test]
fn the_code_in_the_documentation_is_the_code_of_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let shown = read("docs/hooks.md");
    let sources = [
        "examples/custom_filter.rs",
        "examples/custom_policy.rs",
        "examples/embed.rs",
        "examples/conf/custom-filter.yaml",
        "examples/conf/custom-policy.yaml",
        "tests/it/hooks/filter_example.rs",
        "tests/it/hooks/kept_example.rs",
        "tests/it/hooks/policy_example.rs",
    ]
    .map(read);
    let blocks = shown.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let code: Vec<_> = blocks.filter(|(language, _)| ["rust", "yaml"].contains(language)).collect();
    assert!(code.len() >= 8, "{}", code.len());
    for (_, block) in code {
        assert!(sources.iter().any(|source| source.contains(block)), "stands in no example:\n{block}");
    }
}

#[tokio::test]
async fn a_program_can_hold_an_edge() {
    let response = embed::serve_and_ask("a test").await.unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(response.ends_with("\r\n\r\nhello from a test\n"), "{response}");
}
