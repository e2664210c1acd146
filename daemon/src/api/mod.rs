//! The control API: HTTP/1.1 with JSON over a UNIX socket, and Prometheus metrics beside it.
//!
//! Owns: the socket ([`socket`]), the routes ([`routes`]) and the trait that the volume manager
//! implements to answer them ([`control`]). Invariants: only one daemon listens on a socket; every
//! request has a deadline; whatever fails is answered with an [`tier_wire::ErrorBody`]. May not
//! decide anything: a handler checks the form of a request and passes it on. `API.md` beside this
//! file is the manual.

pub mod control;
mod extract;
pub mod routes;
pub mod socket;

#[cfg(test)]
mod tests;

pub use control::Control;
pub use routes::{Deadlines, router};
pub use socket::{ControlSocket, SocketError, serve};
