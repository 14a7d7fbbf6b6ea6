//! Traffic policy: what routes let pass, and how much of it.

mod cluster_limit;
