//! What a route does besides passing requests on: who is let in, how much is served, and what clients get back.

mod error_pages;
mod files;
