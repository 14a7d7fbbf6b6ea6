//! `security_headers`: tells browsers what pages may do, and takes off what tells strangers of the software behind.

mod filter;
mod settings;

pub use filter::SecurityHeaders;
pub use settings::{
    CrossOriginSettings, EmbedderPolicy, FramePolicy, OpenerPolicy, ReferrerPolicy, ResourcePolicy,
    SecurityHeadersSettings,
};
