//! Health: an agent that answers is serving.

use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::health_reporter;

/// The name that stock clients ask for, and the whole server.
const SERVICES: [&str; 2] = ["hubble.server.Observer", ""];

/// The health service.
pub async fn service() -> HealthServer<impl Health> {
    let (reporter, service) = health_reporter();
    for name in SERVICES {
        reporter.set_service_status(name, ServingStatus::Serving).await;
    }
    service
}
