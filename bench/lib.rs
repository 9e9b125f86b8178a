//! Nothing but a place for `benches/function`, which measures the built function beside
//! [`floor`](../floor), a bare one.
