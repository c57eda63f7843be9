//! Files that some servers describe otherwise than they are, made whole.
//!
//! Servers on Node have what `@grpc/reflection` 1.0.4 and `@grpc/proto-loader` 0.8.1 make of their protobuf files: one file
//! for each package, called after it, that imports nothing, and is proto3 whatever the sources were. What lies in
//! google.protobuf is one such file too. An extension stands among the fields of what it extends as well, under a name that
//! begins with a dot, and among those of the message in which it was declared. As they are, they cannot be linked: types of
//! other packages are not found, and enums of proto2 need not begin with 0.

use prost_reflect::{DescriptorPool, FileDescriptor};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};

const WELL_KNOWN: &str = "google.protobuf";

/// The same files, where each that imports nothing imports all others, google.protobuf is the one that everybody has, no
/// extension is a field, and none is called proto3 that cannot be.
pub(crate) fn mend(files: Vec<FileDescriptorProto>) -> Vec<FileDescriptorProto> {
    let mut mended: Vec<_> =
        files.into_iter().filter(|file| file.package() != WELL_KNOWN).collect();
    for file in &mut mended {
        if !may_be_proto3(file) {
            file.syntax = None;
        }
        file.message_type.iter_mut().for_each(take_extensions_out);
    }
    let global = DescriptorPool::global();
    let known = global.files().filter(|file| file.package_name() == WELL_KNOWN);
    mended.extend(known.map(|file| FileDescriptor::file_descriptor_proto(&file).clone()));
    let names: Vec<String> = mended.iter().map(|file| file.name().to_owned()).collect();
    for file in mended.iter_mut().filter(|file| imports_nothing(file)) {
        file.dependency = names.iter().filter(|name| *name != file.name()).cloned().collect();
    }
    mended
}

fn take_extensions_out(message: &mut DescriptorProto) {
    message.field.retain(|field| !field.name().starts_with('.'));
    message.extension.extend(message.field.extract_if(.., |field| field.extendee.is_some()));
    message.nested_type.iter_mut().for_each(take_extensions_out);
}

fn imports_nothing(file: &FileDescriptorProto) -> bool {
    file.dependency.is_empty() && file.package() != WELL_KNOWN
}

/// An enum of proto3 begins with 0, one of proto2 with what it likes.
fn may_be_proto3(file: &FileDescriptorProto) -> bool {
    file.enum_type.iter().all(begins_with_zero) && file.message_type.iter().all(message_may_be)
}

fn message_may_be(message: &DescriptorProto) -> bool {
    message.enum_type.iter().all(begins_with_zero) && message.nested_type.iter().all(message_may_be)
}

fn begins_with_zero(declared: &EnumDescriptorProto) -> bool {
    declared.value.first().is_none_or(|value| value.number() == 0)
}

#[cfg(test)]
mod tests {
    use prost_types::descriptor_proto::ExtensionRange;
    use prost_types::field_descriptor_proto::{Label, Type};
    use prost_types::{
        EnumValueDescriptorProto, FieldDescriptorProto, MethodDescriptorProto,
        ServiceDescriptorProto,
    };

    use super::*;

    /// As a server on Node describes it.
    fn file(package: &str, message_type: Vec<DescriptorProto>) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(format!("{}.proto", package.replace('.', "_"))),
            package: Some(package.into()),
            message_type,
            syntax: Some("proto3".into()),
            ..Default::default()
        }
    }

    fn message(name: &str, field: Vec<FieldDescriptorProto>) -> DescriptorProto {
        DescriptorProto { name: Some(name.into()), field, ..Default::default() }
    }

    fn field(number: i32, r#type: Type, type_name: &str) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(format!("field_{number}")),
            number: Some(number),
            label: Some(Label::Optional.into()),
            r#type: Some(r#type.into()),
            type_name: (!type_name.is_empty()).then(|| type_name.into()),
            ..Default::default()
        }
    }

    fn linked(files: Vec<FileDescriptorProto>) -> DescriptorPool {
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_protos(files).unwrap();
        pool
    }

    #[test]
    fn types_of_other_packages_are_found() {
        let at = field(1, Type::Message, "google.protobuf.Timestamp");
        let other = field(2, Type::Message, "other.v1.Other");
        let mut asked = file("asked.v1", vec![message("Ask", vec![at, other])]);
        asked.service = vec![ServiceDescriptorProto {
            name: Some("Service".into()),
            method: vec![MethodDescriptorProto {
                name: Some("Say".into()),
                input_type: Some(".asked.v1.Ask".into()),
                output_type: Some(".asked.v1.Ask".into()),
                ..Default::default()
            }],
            ..Default::default()
        }];
        let back = field(1, Type::Message, "asked.v1.Ask");
        let other = file("other.v1", vec![message("Other", vec![back])]);
        let known = file(WELL_KNOWN, vec![message("Timestamp", vec![])]);
        let files = vec![asked, other, known];
        assert!(DescriptorPool::new().add_file_descriptor_protos(files.clone()).is_err());

        let pool = linked(mend(files));
        let ask = pool.get_service_by_name("asked.v1.Service").unwrap().methods().next();
        let fields: Vec<_> = ask.unwrap().input().fields().map(|field| field.kind()).collect();
        let names = fields.iter().map(|kind| kind.as_message().unwrap().full_name().to_owned());
        assert_eq!(names.collect::<Vec<_>>(), ["google.protobuf.Timestamp", "other.v1.Other"]);
        let timestamp = pool.get_message_by_name("google.protobuf.Timestamp").unwrap();
        assert_eq!(timestamp.fields().count(), 2, "it is the real one");
    }

    #[test]
    fn extensions_are_no_fields() {
        let deep = FieldDescriptorProto {
            extendee: Some(".old.Outer.Inner".into()),
            ..field(100, Type::Int32, "")
        };
        let sister = FieldDescriptorProto {
            name: Some(".old.Scope.field_100".into()),
            ..field(100, Type::Int32, "")
        };
        let range = ExtensionRange { start: Some(100), end: Some(200), options: None };
        let inner = DescriptorProto {
            extension_range: vec![range],
            ..message("Inner", vec![field(1, Type::Int32, ""), sister])
        };
        let outer = DescriptorProto { nested_type: vec![inner], ..message("Outer", vec![]) };
        let files = vec![file("old", vec![outer, message("Scope", vec![deep])])];
        assert!(DescriptorPool::new().add_file_descriptor_protos(files.clone()).is_err());

        let pool = linked(mend(files));
        let inner = pool.get_message_by_name("old.Outer.Inner").unwrap();
        assert_eq!((inner.fields().count(), inner.extensions().count()), (1, 1));
    }

    #[test]
    fn an_enum_that_does_not_begin_with_0_is_of_proto2() {
        let colour = |red| EnumDescriptorProto {
            name: Some("Colour".into()),
            value: vec![EnumValueDescriptorProto {
                name: Some("RED".into()),
                number: Some(red),
                ..Default::default()
            }],
            ..Default::default()
        };
        let within = |red| {
            let nested = DescriptorProto { enum_type: vec![colour(red)], ..message("In", vec![]) };
            file(
                "old",
                vec![DescriptorProto { nested_type: vec![nested], ..message("Out", vec![]) }],
            )
        };
        let beside =
            |red| FileDescriptorProto { enum_type: vec![colour(red)], ..file("old", vec![]) };
        for old in [within(1), beside(1)] {
            assert!(DescriptorPool::new().add_file_descriptor_protos([old.clone()]).is_err());
            linked(mend(vec![old]));
        }
        for new in [within(0), beside(0)] {
            assert_eq!(mend(vec![new])[0].syntax(), "proto3");
        }
    }
}
