//! `waf`: has libmodsecurity 3 judge requests by rules such as those of the OWASP Core Rule Set.
//!
//! [`engine`] calls the library, [`sources`] says which rules it reads, [`subject`] what it is shown of a request, [`told`] what
//! its words mean, and [`filter`] acts on them. Without the feature `waf` there are the settings alone, and a build error that
//! says how to get the rest.

#[cfg(feature = "waf")]
mod engine;
#[cfg(feature = "waf")]
mod filter;
#[cfg(feature = "waf")]
mod fingerprint;
mod settings;
#[cfg(feature = "waf")]
mod sources;
#[cfg(feature = "waf")]
mod subject;
#[cfg(feature = "waf")]
mod told;
mod verdict;
#[cfg(not(feature = "waf"))]
mod without;

#[cfg(feature = "waf")]
pub use filter::Waf;
pub use settings::{
    ExcludedRule, InvalidExcludedRule, WafBodySettings, WafLarger, WafMode, WafOverload, WafSettings,
};
pub use verdict::{WafVerdict, WafWord};
#[cfg(not(feature = "waf"))]
pub use without::Waf;
