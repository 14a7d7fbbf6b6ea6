//! Traffic policy: what filters decide about requests and answers.

mod cache;
