//! Another configuration in the place of the one that is served: what changes, and what is carried on.

mod requests;
