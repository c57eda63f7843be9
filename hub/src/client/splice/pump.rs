//! One direction of one splice: DATA and trailers from a source to a sink, under flow control. The only
//! place that touches capacity.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use tokio::task::coop;
use tunnel::bridge::grpc_status;

use super::backlog::Backlog;
use crate::guard::growth::Growth;
use crate::limits::COALESCE_BYTES;
use crate::message::header_list;
use crate::message::malformed::Malformed;
use crate::observe::metrics::Meter;

/// What does not get through.
#[derive(Debug)]
pub(super) enum Broken {
    /// The source was reset or lost. What had arrived before has been passed on.
    Source(h2::Error),
    /// The sink takes no more.
    Sink,
    /// The source's trailers are larger than the sink's side takes.
    Trailers,
    /// The source's trailers must not be passed on.
    Malformed,
}

/// What is to be done with trailers before they are passed on.
pub(super) type EditTrailers = fn(&mut HeaderMap) -> Result<(), Malformed>;

/// Reads only what it can hold within the source's window, and gives the window back only for what the
/// sink has taken: a slow reader slows its own sender, end to end.
#[derive(Debug)]
pub(super) struct Pump {
    source: RecvStream,
    sink: SendStream<Bytes>,
    backlog: Backlog,
    state: State,
    /// Asked the sink for capacity, for the chunk in front.
    reserved: bool,
    /// Of the source's window.
    growth: Growth,
    meter: Meter,
    grpc_status: Option<u16>,
    edit_trailers: EditTrailers,
    /// Bytes of the largest header list that the sink's side takes.
    max_trailers: usize,
}

/// What the source may still say.
#[derive(Debug)]
enum State {
    Data,
    Trailers,
    Ended(Option<HeaderMap>),
    /// By trailers that are larger than the sink's side takes. They are not kept: they may be larger than all
    /// the data that waits.
    TooLong,
    Broken(h2::Error),
    /// Everything has been passed on, the end included.
    Done,
}

impl Pump {
    pub(super) fn new(
        source: RecvStream,
        sink: SendStream<Bytes>,
        growth: Growth,
        meter: Meter,
        edit_trailers: EditTrailers,
        max_trailers: usize,
    ) -> Self {
        // A message without a body: its END_STREAM went with the head.
        let state = if source.is_end_stream() { State::Done } else { State::Data };
        let backlog = Backlog::default();
        Self {
            source,
            sink,
            backlog,
            state,
            reserved: false,
            growth,
            meter,
            grpc_status: None,
            edit_trailers,
            max_trailers,
        }
    }

    /// Bytes that the sink has taken.
    pub(super) fn bytes(&self) -> u64 {
        self.meter.total()
    }

    /// `grpc-status` of the trailers, once they have passed.
    pub(super) fn grpc_status(&self) -> Option<u16> {
        self.grpc_status
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The sink, to reset it, to end it, or to ask whether its peer has reset it.
    pub(super) fn sink(&mut self) -> &mut SendStream<Bytes> {
        &mut self.sink
    }

    /// Passes on what can be passed on; ready once everything has been.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        while !self.is_done() {
            if self.backlog.is_empty() {
                if self.poll_source(cx).is_pending() {
                    return Poll::Pending;
                }
                if self.backlog.is_empty() {
                    self.pass_end()?;
                }
                continue;
            }
            match self.poll_sink(cx) {
                Poll::Ready(Ok(())) => {
                    self.gather(cx);
                    self.pass_chunk()?;
                }
                Poll::Ready(Err(broken)) => return Poll::Ready(Err(broken)),
                Poll::Pending => {
                    self.collect(cx);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what the source has while the sink takes nothing: unread DATA would hide the end of the source,
    /// and count against h2's flood guard.
    fn collect(&mut self, cx: &mut Context<'_>) {
        while matches!(self.state, State::Data) && self.poll_source(cx).is_ready() {}
    }

    /// Puts together what small messages are there already: one frame costs the next hop, and the queue
    /// before it, less than many.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let more = |pump: &Self| pump.backlog.len() < COALESCE_BYTES;
        while more(self) && matches!(self.state, State::Data) && self.poll_source(cx).is_ready() {}
    }

    /// Takes one event from the source. Ready at its end, too.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Data) {
            // So many at a stretch, for the thread has other calls.
            let turn = ready!(coop::poll_proceed(cx));
            let data = ready!(self.source.poll_data(cx));
            turn.made_progress();
            match data {
                Some(Ok(chunk)) => {
                    if chunk.is_empty() {
                        // It may have been all padding.
                        self.growth.took(0);
                    } else {
                        self.backlog.push(chunk);
                    }
                    // So that END_STREAM can ride on the last chunk, as it did when it came.
                    if self.source.is_end_stream() {
                        self.state = State::Ended(None);
                    }
                    return Poll::Ready(());
                }
                Some(Err(error)) => self.state = State::Broken(error),
                None => self.state = State::Trailers,
            }
        }
        if matches!(self.state, State::Trailers) {
            self.state = match ready!(self.source.poll_trailers(cx)) {
                Ok(Some(trailers)) if header_list::size(&trailers) > self.max_trailers => {
                    State::TooLong
                }
                Ok(trailers) => State::Ended(trailers),
                Err(error) => State::Broken(error),
            };
        }
        Poll::Ready(())
    }

    /// Ready when the sink's window has room beyond what it has taken, or when it takes no more.
    pub(super) fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_sink(cx).map(|_| ())
    }

    /// Ready when the sink's window has room for a byte; `h2` holds what of a chunk does not fit. Asking for more
    /// would take capacity from the connection's other streams (hyper #4149), asking without a chunk in hand can
    /// deadlock a peer (hyper #4003).
    fn poll_sink(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if !self.reserved {
            self.sink.reserve_capacity(1);
            self.reserved = true;
        }
        // `poll_capacity` tells of increases only, so what is there already comes first.
        while self.sink.capacity() == 0 {
            match self.sink.poll_capacity(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Err(Broken::Sink)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn pass_chunk(&mut self) -> Result<(), Broken> {
        let Some(chunk) = self.backlog.pop() else {
            return Ok(());
        };
        let len = chunk.len();
        let last = self.backlog.is_empty() && matches!(self.state, State::Ended(None));
        self.sink.send_data(chunk, last).map_err(|_| Broken::Sink)?;
        self.reserved = false;
        self.meter.add(len);
        // Fails only if a reset has given it back already.
        let _ = self.source.flow_control().release_capacity(len);
        if matches!(self.state, State::Data) {
            self.growth.took(len);
        }
        if last {
            self.state = State::Done;
        }
        Ok(())
    }

    /// Passes on how the source ended, if it has.
    fn pass_end(&mut self) -> Result<(), Broken> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Ended(None) => self.sink.send_data(Bytes::new(), true).map_err(|_| Broken::Sink),
            State::TooLong => Err(Broken::Trailers),
            State::Ended(Some(mut trailers)) => {
                self.grpc_status = grpc_status(&trailers);
                (self.edit_trailers)(&mut trailers).map_err(|_| Broken::Malformed)?;
                self.sink.send_trailers(trailers).map_err(|_| Broken::Sink)
            }
            State::Broken(error) => Err(Broken::Source(error)),
            open => {
                self.state = open;
                Ok(())
            }
        }
    }
}
