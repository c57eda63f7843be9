//! Descriptors as the protobuf source that they were made from.

use std::collections::HashMap;
use std::fmt::Write as _;

use prost_reflect::{
    Cardinality, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor, Syntax,
};

use crate::output::printable;
use crate::schema::Symbol;

/// A symbol's source with its comments, under a line that says what it is.
pub(crate) fn source(symbol: &Symbol) -> String {
    let (name, what, file) = match symbol {
        Symbol::Service(service) => (service.full_name(), "a service", service.parent_file()),
        Symbol::Method(method) => {
            (method.full_name(), "a method", method.parent_service().parent_file())
        }
        Symbol::Message(message) => (message.full_name(), "a message", message.parent_file()),
        Symbol::Enum(found) => (found.full_name(), "an enum", found.parent_file()),
    };
    let mut source = Source::new(&file);
    match symbol {
        Symbol::Service(service) => source.service(service),
        Symbol::Method(method) => source.method(method),
        Symbol::Message(message) => source.message(message),
        Symbol::Enum(found) => source.enumeration(found),
    }
    format!("{name} is {what}:\n{}", source.text.trim_end())
}

/// Source text that is being written, and how deep it is indented.
struct Source {
    text: String,
    depth: usize,
    /// The comment above each declaration, by the declaration's path in the file. Many servers leave
    /// comments out of their descriptors.
    comments: HashMap<Vec<i32>, String>,
}

impl Source {
    fn new(file: &FileDescriptor) -> Self {
        let proto = file.file_descriptor_proto();
        let locations = proto.source_code_info.iter().flat_map(|info| &info.location);
        let comments = locations
            .filter_map(|location| {
                let comment = location.leading_comments.clone()?;
                Some((location.path.clone(), comment))
            })
            .collect();
        Self { text: String::new(), depth: 0, comments }
    }

    fn line(&mut self, text: &str) {
        // Writing to a String cannot fail.
        _ = writeln!(self.text, "{:indent$}{text}", "", indent = 2 * self.depth);
    }

    fn comment(&mut self, path: &[i32]) {
        let comment = self.comments.get(path).cloned().unwrap_or_default();
        for line in comment.lines() {
            self.line(format!("//{}", printable(line)).trim_end());
        }
    }

    fn block(&mut self, head: &str, body: impl FnOnce(&mut Self)) {
        self.line(&format!("{head} {{"));
        self.depth += 1;
        body(self);
        self.depth -= 1;
        self.line("}");
    }

    fn service(&mut self, service: &ServiceDescriptor) {
        self.comment(service.path());
        self.block(&format!("service {}", service.name()), |source| {
            for method in service.methods() {
                source.method(&method);
            }
        });
    }

    fn method(&mut self, method: &MethodDescriptor) {
        let stream = |is_stream| if is_stream { "stream " } else { "" };
        self.comment(method.path());
        self.line(&format!(
            "rpc {}({}{}) returns ({}{});",
            method.name(),
            stream(method.is_client_streaming()),
            method.input().full_name(),
            stream(method.is_server_streaming()),
            method.output().full_name(),
        ));
    }

    fn message(&mut self, message: &MessageDescriptor) {
        self.comment(message.path());
        self.block(&format!("message {}", message.name()), |source| {
            for field in message.fields().filter(|field| !is_in_oneof(field)) {
                source.field(message, &field);
            }
            for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
                source.comment(oneof.path());
                source.block(&format!("oneof {}", oneof.name()), |source| {
                    oneof.fields().for_each(|field| source.field(message, &field));
                });
            }
            for child in message.child_messages().filter(|child| !child.is_map_entry()) {
                source.message(&child);
            }
            for child in message.child_enums() {
                source.enumeration(&child);
            }
        });
    }

    fn field(&mut self, message: &MessageDescriptor, field: &FieldDescriptor) {
        self.comment(field.path());
        let (label, name, number) = (label(message, field), field.name(), field.number());
        self.line(&format!("{label}{} {name} = {number};", type_name(field)));
    }

    fn enumeration(&mut self, descriptor: &EnumDescriptor) {
        self.comment(descriptor.path());
        self.block(&format!("enum {}", descriptor.name()), |source| {
            for value in descriptor.values() {
                source.comment(value.path());
                source.line(&format!("{} = {};", value.name(), value.number()));
            }
        });
    }
}

/// Whether a field stands in a oneof that somebody wrote; protoc makes up others for `optional`.
fn is_in_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic())
}

fn label(message: &MessageDescriptor, field: &FieldDescriptor) -> &'static str {
    let is_proto2 = message.parent_file().syntax() == Syntax::Proto2;
    let is_explicit = field.field_descriptor_proto().proto3_optional();
    match field.cardinality() {
        _ if field.is_map() || is_in_oneof(field) => "",
        Cardinality::Repeated => "repeated ",
        Cardinality::Required => "required ",
        Cardinality::Optional if is_proto2 || is_explicit => "optional ",
        Cardinality::Optional => "",
    }
}

fn type_name(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let key = type_name(&entry.map_entry_key_field());
            let value = type_name(&entry.map_entry_value_field());
            format!("map<{key}, {value}>")
        }
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(found) => found.full_name().to_owned(),
        // The names of scalars are protobuf's, but for the first letter: Double, Sfixed32.
        scalar => format!("{scalar:?}").to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::DescriptorPool;

    use super::*;

    fn described(name: &str) -> String {
        let pool = DescriptorPool::decode(hub_proto::DESCRIPTORS).unwrap();
        let message = pool.get_message_by_name(name).map(Symbol::Message);
        let service = pool.get_service_by_name(name).map(Symbol::Service);
        source(&message.or(service).unwrap())
    }

    #[test]
    fn source_reads_as_it_was_written() {
        let text = described("hub.v1.Client");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "hub.v1.Client is a message:");
        assert_eq!(
            lines[2..5],
            ["message Client {", "  // The name it registered.", "  string name = 1;"]
        );
        assert!(text.contains("\n  map<string, string> labels = 5;\n"), "{text}");
        assert!(text.contains("\n  google.protobuf.Duration rtt = 9;\n"), "{text}");
    }

    #[test]
    fn streams_and_oneofs_are_told() {
        let text = described("hub.v1.Activity");
        let rpc = "  rpc Connect(hub.v1.ConnectRequest) returns (stream hub.v1.ActivityEvent);\n}";
        assert!(text.ends_with(rpc), "{text}");
        let text = described("fluentd.v1.Exit");
        assert!(
            text.contains("\n  oneof cause {\n    // Its exit code.\n    int32 code = 1;\n"),
            "{text}"
        );
    }
}
