//! Where the numbers of services begin.

use palomar_policy::Backends;

use super::hash;

/// The first number to try for services with these backends: the same for the same backends, whichever agent asks.
pub fn start_of_service(backends: &Backends) -> u32 {
    let texts = backends.ports.iter().flat_map(|((protocol, port), backends)| {
        let of_port = format!("{} {port}", protocol.number());
        let backends = backends.iter().map(|backend| {
            format!("{} {} {} {}", backend.identity, backend.class, backend.port, u8::from(backend.is_local))
        });
        [of_port].into_iter().chain(backends)
    });
    hash::start(texts, 1, u32::MAX)
}
