//! `client list NAME [SERVICE]`: what a server offers.

use prost_reflect::MethodDescriptor;
use serde_json::{Value, json};

use crate::Error;
use crate::args::{Format, List, Options};
use crate::caller::Caller;
use crate::output::{self, printable};
use crate::schema;

/// Prints the services, or the methods of one, a line each. Methods as `call` takes them.
pub(super) async fn run(options: Options, args: List) -> Result<(), Error> {
    let format = options.output;
    let caller = Caller::connect(options, args.headers, &args.name).await?;
    let Some(service) = args.service else {
        for name in schema::services(&caller).await? {
            print(format, &name, || json!({ "service": name }))?;
        }
        return Ok(());
    };
    for method in schema::service(&caller, &service).await?.methods() {
        let path = path(&method);
        print(format, &path, || as_json(&path, &method))?;
    }
    Ok(())
}

fn print(format: Format, name: &str, as_json: impl FnOnce() -> Value) -> Result<(), Error> {
    let text = match format {
        Format::Json => as_json().to_string(),
        Format::Table => printable(name).into_owned(),
    };
    Ok(output::line(&text)?)
}

fn path(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

fn as_json(path: &str, method: &MethodDescriptor) -> Value {
    json!({
        "method": path,
        "input": method.input().full_name(),
        "output": method.output().full_name(),
        "clientStreaming": method.is_client_streaming(),
        "serverStreaming": method.is_server_streaming(),
    })
}
