//! What an agent without an upstream serves: fluentd, health, reflection.

mod health;

use hub_proto::fluentd::v1::fluentd_server::FluentdServer;
use hub_proto::grpc::health::v1::health_server::HealthServer;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_reflection::pb::{v1, v1alpha};

use self::health::Health;
use crate::fluentd::{FluentdService, Supervisor};

const FLUENTD: &str = FluentdServer::<FluentdService>::NAME;

/// The built-in services; without a supervisor, fluentd answers that it has no command to run.
#[must_use]
pub fn builtin_services(supervisor: Option<Supervisor>) -> Routes {
    let mut routes = Routes::default()
        .add_service(HealthServer::new(Health(&[FLUENTD])).accept_compressed(Gzip))
        .add_service(FluentdServer::new(FluentdService::new(supervisor)).accept_compressed(Gzip));
    // Fails only if the descriptors are none; then the services are there without it.
    if let Ok(reflection) = reflection().build_v1() {
        routes = routes.add_service(reflection.accept_compressed(Gzip));
    }
    if let Ok(reflection) = reflection().build_v1alpha() {
        routes = routes.add_service(reflection.accept_compressed(Gzip));
    }
    routes.prepare()
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(hub_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(v1::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(v1alpha::FILE_DESCRIPTOR_SET)
        .with_service_name(FLUENTD)
        .with_service_name(HealthServer::<Health>::NAME)
        .with_service_name("grpc.reflection.v1.ServerReflection")
        .with_service_name("grpc.reflection.v1alpha.ServerReflection")
}
