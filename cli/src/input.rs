//! Requests: JSON documents from `--data` or standard input, each handed on once it has been read.

use std::io::{self, IsTerminal as _, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor};
use serde_json::de::IoRead;
use serde_json::error::Category;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::Stream;

use crate::limits::CALL_READ_AHEAD;

/// Why a request cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It is no JSON, or does not fit the message.
    #[error("request JSON for {message}: {error}")]
    Json {
        /// The full name of the message.
        message: String,
        /// What is wrong; it says where.
        error: serde_json::Error,
    },
    /// The value of a field does not fit.
    #[error("request JSON for {message}: field \"{field}\": {error}")]
    Field {
        /// The full name of the message.
        message: String,
        /// The path of the field, such as `labels.env`.
        field: String,
        /// What is wrong; it says where.
        error: serde_json::Error,
    },
    /// Two documents for a method that takes one.
    #[error("request JSON: this method takes exactly one {0}")]
    TooMany(String),
    /// Standard input cannot be read.
    #[error("cannot read the request: {0}")]
    Read(#[from] io::Error),
}

/// Where requests come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// The value of `--data`.
    Data(String),
    /// Standard input, unless it is a terminal: then there is none.
    Stdin,
}

/// The requests of one call.
#[derive(Debug)]
pub(crate) struct Documents {
    descriptor: MessageDescriptor,
    receiver: mpsc::Receiver<Result<DynamicMessage, InputError>>,
}

/// The requests of one call, as the call takes them. See [`Documents::stream`].
#[derive(Debug)]
pub(crate) struct Requests {
    receiver: mpsc::Receiver<Result<DynamicMessage, InputError>>,
    failure: Option<oneshot::Sender<InputError>>,
}

impl Documents {
    /// Begins to read `source`, as messages of type `descriptor`.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn read(source: Source, descriptor: MessageDescriptor) -> Result<Self, InputError> {
        let reader: Box<dyn Read + Send> = match source {
            Source::Data(text) => Box::new(io::Cursor::new(text)),
            Source::Stdin if io::stdin().is_terminal() => Box::new(io::empty()),
            Source::Stdin => Box::new(io::BufReader::new(io::stdin())),
        };
        let (sender, receiver) = mpsc::channel(CALL_READ_AHEAD);
        let message = descriptor.clone();
        // Reading may block for ever. A thread that nobody joins cannot hold up the program's end.
        std::thread::Builder::new()
            .name("requests".into())
            .spawn(move || parse_all(reader, &message, &sender))?;
        Ok(Self { descriptor, receiver })
    }

    /// The only document, once it is known to be the only one. An empty message if there is none.
    ///
    /// # Errors
    /// It does not fit, or there are two.
    pub(crate) async fn single(mut self) -> Result<DynamicMessage, InputError> {
        let Some(first) = self.receiver.recv().await else {
            return Ok(DynamicMessage::new(self.descriptor));
        };
        let first = first?;
        match self.receiver.recv().await {
            None => Ok(first),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) => Err(InputError::TooMany(self.descriptor.full_name().into())),
        }
    }

    /// All documents as they come in, and the error that cuts them short, if one does.
    ///
    /// After an error the stream stays open: to end it would tell the server that all requests have
    /// come, where the call must be cancelled.
    pub(crate) fn stream(self) -> (Requests, oneshot::Receiver<InputError>) {
        let (failure, failed) = oneshot::channel();
        let requests = Requests { receiver: self.receiver, failure: Some(failure) };
        (requests, failed)
    }
}

impl Stream for Requests {
    type Item = DynamicMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<DynamicMessage>> {
        if self.failure.is_none() {
            return Poll::Pending;
        }
        match ready!(self.receiver.poll_recv(cx)).transpose() {
            Ok(item) => Poll::Ready(item),
            Err(error) => {
                if let Some(failure) = self.failure.take() {
                    // Nobody listens once the call has ended, and then nobody cares.
                    _ = failure.send(error);
                }
                Poll::Pending
            }
        }
    }
}

fn parse_all(
    reader: impl Read,
    descriptor: &MessageDescriptor,
    sender: &mpsc::Sender<Result<DynamicMessage, InputError>>,
) {
    let mut json = serde_json::Deserializer::from_reader(reader);
    while let Some(document) = parse_next(&mut json, descriptor).transpose() {
        let is_last = document.is_err();
        if sender.blocking_send(document).is_err() || is_last {
            return;
        }
    }
}

/// Reads the next document and not one byte beyond it, or finds the end of the input.
pub(crate) fn parse_next<R: Read>(
    json: &mut serde_json::Deserializer<IoRead<R>>,
    descriptor: &MessageDescriptor,
) -> Result<Option<DynamicMessage>, InputError> {
    match json.end() {
        Ok(()) => return Ok(None),
        Err(error) if error.classify() == Category::Io => return Err(io::Error::from(error).into()),
        // There is more than white space: a document.
        Err(_) => {}
    }
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(json, &mut track);
    let options = DeserializeOptions::new();
    DynamicMessage::deserialize_with_options(descriptor.clone(), tracked, &options)
        .map(Some)
        .map_err(|error| explain(descriptor, error, &track.path()))
}

fn explain(
    descriptor: &MessageDescriptor,
    error: serde_json::Error,
    path: &serde_path_to_error::Path,
) -> InputError {
    let message = descriptor.full_name().to_owned();
    if error.classify() == Category::Io {
        return io::Error::from(error).into();
    }
    // `?` is a field whose name did not come.
    match path.to_string().trim_end_matches(".?") {
        "." | "?" => InputError::Json { message, error },
        field => InputError::Field { message, field: field.to_owned(), error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(message: &str, text: &str) -> Result<Vec<String>, String> {
        let pool = prost_reflect::DescriptorPool::decode(hub_proto::DESCRIPTORS).unwrap();
        let descriptor = pool.get_message_by_name(message).unwrap();
        let mut json = serde_json::Deserializer::from_reader(text.as_bytes());
        let mut all = Vec::new();
        while let Some(found) = parse_next(&mut json, &descriptor).map_err(|e| e.to_string())? {
            all.push(serde_json::to_string(&found).unwrap());
        }
        Ok(all)
    }

    #[test]
    fn documents_are_separated_by_white_space_or_nothing() {
        let stop = "fluentd.v1.StopRequest";
        let all = parse(stop, "{} {\"grace\":\"1s\"}\n\n{}{}  ").unwrap();
        assert_eq!(all, ["{}", "{\"grace\":\"1s\"}", "{}", "{}"]);
        assert!(parse(stop, " \n").unwrap().is_empty());
    }

    #[test]
    fn errors_name_the_field_and_the_place() {
        let told = |message, text| parse(message, text).unwrap_err();
        assert_eq!(
            told("hub.v1.ListClientsRequest", "{}\n{\"nmae\": 1}"),
            "request JSON for hub.v1.ListClientsRequest: unrecognized field name 'nmae' \
             at line 2 column 8"
        );
        let event = told("hub.v1.ActivityEvent", "{\"call\": {\"requestBytes\": \"many\"}}");
        assert!(event.contains("field \"call.requestBytes\": "), "{event}");
        assert!(event.ends_with("at line 1 column 32"), "{event}");
        let cut = told("hub.v1.ActivityEvent", "{\"name\": ");
        assert!(cut.contains("EOF while parsing"), "{cut}");
        let nameless = told("hub.v1.ActivityEvent", "{");
        assert_eq!(
            nameless,
            "request JSON for hub.v1.ActivityEvent: EOF while parsing an object at line 1 column 1"
        );
        let inner = told("hub.v1.ActivityEvent", "{\"call\": {");
        assert!(inner.contains("field \"call\": EOF"), "{inner}");
    }
}
