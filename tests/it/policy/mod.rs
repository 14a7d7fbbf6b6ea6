//! Traffic policy: what routes let pass, and how much of it.

mod adaptive_concurrency;
mod cluster_limit;
mod concurrency;
