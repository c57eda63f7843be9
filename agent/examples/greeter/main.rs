//! A gRPC server without a port: it dials the hub and is called through it.
//!
//! ```sh
//! hub --listen :8080 &
//! cargo run --example greeter
//! echo '{"name": "you"}' | client call greeter greeter.v1.Greeter/SayHello
//! ```

#![allow(missing_docs, unreachable_pub, unused_qualifications, clippy::use_self)]

mod greeter {
    include!("greeter.v1.rs");
}

use greeter::greeter_server::{Greeter, GreeterServer};
use greeter::{HelloReply, HelloRequest};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

struct Friendly;

#[tonic::async_trait]
impl Greeter for Friendly {
    async fn say_hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloReply>, Status> {
        let message = format!("Hello, {}!", request.into_inner().name);
        Ok(Response::new(HelloReply { message }))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(include_bytes!("descriptors.bin"))
        .build_v1()?;
    let services = Routes::new(GreeterServer::new(Friendly)).add_service(reflection);

    let upstream = agent::Upstream::Services(services);
    let exposed = agent::Exposed::new("greeter".parse()?, upstream);
    let config = agent::Config::new(exposed, "ws://localhost:8080/ws".parse()?);
    agent::run(config, async { drop(tokio::signal::ctrl_c().await) }).await?;
    Ok(())
}
