/// What a filter wants to be called for besides the heads of requests and responses.
///
/// ```
/// use evener::hooks::Needs;
///
/// const NEEDS: Needs = Needs::BODIES.and(Needs::END);
/// assert!(NEEDS.bodies && NEEDS.end && !NEEDS.tunnels);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Needs {
    /// The pieces of bodies, and their trailers.
    pub bodies: bool,
    /// The bytes that pass after a 101, as pieces of bodies.
    pub tunnels: bool,
    /// The request's end.
    pub end: bool,
    /// Not a call: that [`FilterCx::delay`](super::FilterCx::delay) has an effect.
    pub pauses: bool,
}

impl Needs {
    /// Nothing more.
    pub const NOTHING: Self = Self { bodies: false, tunnels: false, end: false, pauses: false };
    /// Bodies and trailers.
    pub const BODIES: Self = Self { bodies: true, ..Self::NOTHING };
    /// Bodies, and what passes after a 101.
    pub const TUNNELS: Self = Self { tunnels: true, ..Self::BODIES };
    /// The request's end.
    pub const END: Self = Self { end: true, ..Self::NOTHING };
    /// To hold up what passes.
    pub const PAUSES: Self = Self { pauses: true, ..Self::NOTHING };

    /// These and those.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            bodies: self.bodies || other.bodies,
            tunnels: self.tunnels || other.tunnels,
            end: self.end || other.end,
            pauses: self.pauses || other.pauses,
        }
    }
}
