//! The files that describe a symbol, from which descriptors are linked.

use std::collections::{BTreeMap, HashSet};

use prost::Message as _;
use prost_reflect::{DescriptorError, DescriptorPool, FileDescriptor};
use prost_types::FileDescriptorProto;
use tonic::Status;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::Error;
use crate::limits::{SCHEMA_MAX_BYTES, SCHEMA_MAX_FILES};
use crate::mend::mend;
use crate::reflection::unexpected;

/// google.protobuf: the same everywhere, and left out by many servers.
pub(crate) fn well_known(name: &str) -> Option<FileDescriptorProto> {
    let file = DescriptorPool::global().get_file_by_name(name);
    file.as_ref().map(FileDescriptor::file_descriptor_proto).cloned()
}

/// The files of one symbol, as they come in.
#[derive(Debug, Default)]
pub(crate) struct Files {
    files: Vec<FileDescriptorProto>,
    known: HashSet<String>,
    /// Imports that were seen, and a file that imports each.
    imports: BTreeMap<String, String>,
    bytes: usize,
}

impl Files {
    /// Takes the files of an answer.
    ///
    /// # Errors
    /// It is no such answer, or too much.
    pub(crate) fn add(&mut self, answer: MessageResponse) -> Result<(), Status> {
        let MessageResponse::FileDescriptorResponse(answer) = answer else {
            return Err(unexpected(answer));
        };
        for encoded in answer.file_descriptor_proto {
            self.bytes += encoded.len();
            if self.bytes > SCHEMA_MAX_BYTES {
                let text = format!("the server's descriptors exceed {SCHEMA_MAX_BYTES} bytes");
                return Err(Status::resource_exhausted(text));
            }
            let file = FileDescriptorProto::decode(&encoded[..])
                .map_err(|error| Status::internal(format!("the server's descriptors: {error}")))?;
            self.insert(file)?;
        }
        Ok(())
    }

    /// Takes a file, unless there is one of its name.
    ///
    /// # Errors
    /// There are too many.
    pub(crate) fn insert(&mut self, file: FileDescriptorProto) -> Result<(), Status> {
        if !self.known.insert(file.name().to_owned()) {
            return Ok(());
        }
        if self.known.len() > SCHEMA_MAX_FILES {
            let text = format!("the server's descriptors exceed {SCHEMA_MAX_FILES} files");
            return Err(Status::resource_exhausted(text));
        }
        self.imports.remove(file.name());
        for import in &file.dependency {
            if !self.known.contains(import) {
                self.imports.insert(import.clone(), file.name().to_owned());
            }
        }
        self.files.push(file);
        Ok(())
    }

    /// Whether there is a file of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.known.contains(name)
    }

    /// An import that has not come in, and the file that needs it.
    pub(crate) fn missing(&self) -> Option<(String, String)> {
        let (import, importer) = self.imports.first_key_value()?;
        Some((import.clone(), importer.clone()))
    }

    /// All of them, linked.
    ///
    /// # Errors
    /// They do not fit together.
    pub(crate) fn into_pool(self) -> Result<DescriptorPool, Error> {
        let linked = link(&self.files);
        let pool = linked.or_else(|error| link(&mend(self.files)).map_err(|_| error));
        let told = |error| Status::internal(format!("the server's descriptors: {error}"));
        Ok(pool.map_err(told)?)
    }
}

fn link(files: &[FileDescriptorProto]) -> Result<DescriptorPool, DescriptorError> {
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(files.iter().cloned())?;
    Ok(pool)
}

#[cfg(test)]
mod tests {
    use prost_types::{DescriptorProto, FieldDescriptorProto};
    use tonic::Code;

    use super::*;

    fn file(name: &str, imports: &[&str]) -> FileDescriptorProto {
        FileDescriptorProto {
            name: Some(name.into()),
            dependency: imports.iter().map(ToString::to_string).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn imports_are_missing_until_they_come_in() {
        let mut files = Files::default();
        files.insert(file("a", &["b"])).unwrap();
        assert_eq!(files.missing(), Some(("b".into(), "a".into())));
        files.insert(file("b", &["a"])).unwrap();
        assert_eq!(files.missing(), None);
    }

    #[test]
    fn files_have_a_bound() {
        let mut files = Files::default();
        for n in 0..SCHEMA_MAX_FILES {
            files.insert(file(&n.to_string(), &[])).unwrap();
        }
        files.insert(file("0", &[])).unwrap();
        let status = files.insert(file("one more", &[])).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }

    #[test]
    fn bytes_have_a_bound() {
        let answer = tonic_reflection::pb::v1::FileDescriptorResponse {
            file_descriptor_proto: vec![vec![0; SCHEMA_MAX_BYTES + 1]],
        };
        let answer = MessageResponse::FileDescriptorResponse(answer);
        let status = Files::default().add(answer).unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
    }

    #[test]
    fn files_that_import_nothing_are_linked() {
        let part = FieldDescriptorProto {
            name: Some("part".into()),
            number: Some(1),
            type_name: Some("part.Part".into()),
            ..Default::default()
        };
        let message = |name: &str, field: Vec<_>| DescriptorProto {
            name: Some(name.into()),
            field,
            ..Default::default()
        };
        let package = |name: &str, message| FileDescriptorProto {
            package: Some(name.into()),
            message_type: vec![message],
            ..file(name, &[])
        };
        let mut files = Files::default();
        files.insert(package("whole", message("Whole", vec![part]))).unwrap();
        let error = Files { files: files.files.clone(), ..Files::default() }.into_pool();
        assert!(error.unwrap_err().to_string().contains("'part.Part' is not defined"));
        files.insert(package("part", message("Part", vec![]))).unwrap();
        assert!(files.into_pool().unwrap().get_message_by_name("whole.Whole").is_some());
    }

    #[test]
    fn google_protobuf_is_known() {
        assert!(well_known("google/protobuf/any.proto").is_some());
    }
}
