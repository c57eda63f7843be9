//! `client describe NAME SYMBOL`: what a service, method, message or enum looks like.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use tonic::Status;

use crate::Error;
use crate::args::{Describe, Format, Options};
use crate::caller::Caller;
use crate::describe;
use crate::output::{self, OutputError};
use crate::schema::{self, Symbol};

/// Prints the symbol as protobuf source, for programs as its descriptor in JSON.
pub(super) async fn run(options: Options, args: Describe) -> Result<(), Error> {
    let format = options.output;
    let caller = Caller::connect(options, args.headers, &args.name).await?;
    let name = args.symbol.trim_start_matches(['/', '.']).replace('/', ".");
    let symbol = schema::symbol(&caller, &name).await?;
    match format {
        Format::Table => Ok(output::line(&describe::source(&symbol))?),
        Format::Json => {
            let message = descriptor(&symbol)?;
            let text = serde_json::to_string(&message).map_err(OutputError::Json)?;
            Ok(output::line(&text)?)
        }
    }
}

/// The descriptor as a message of google.protobuf, which has a JSON form.
fn descriptor(symbol: &Symbol) -> Result<DynamicMessage, Error> {
    match symbol {
        Symbol::Service(service) => {
            as_message("google.protobuf.ServiceDescriptorProto", service.service_descriptor_proto())
        }
        Symbol::Method(method) => {
            as_message("google.protobuf.MethodDescriptorProto", method.method_descriptor_proto())
        }
        Symbol::Message(message) => {
            as_message("google.protobuf.DescriptorProto", message.descriptor_proto())
        }
        Symbol::Enum(found) => {
            as_message("google.protobuf.EnumDescriptorProto", found.enum_descriptor_proto())
        }
    }
}

fn as_message(name: &str, proto: &impl Message) -> Result<DynamicMessage, Error> {
    let missing = || Status::internal(format!("{name} is not built in"));
    let descriptor = DescriptorPool::global().get_message_by_name(name).ok_or_else(missing)?;
    let mut message = DynamicMessage::new(descriptor);
    message.transcode_from(proto).map_err(OutputError::Message)?;
    Ok(message)
}
