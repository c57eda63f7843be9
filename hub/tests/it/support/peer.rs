//! One end of an HTTP/2 connection to a hub, by hand: what is sent is up to the test, frame by frame, what
//! is received is kept by stream, and held against HTTP/2's rules (RFC 9113).

mod heard;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) use self::heard::Heard;
use self::heard::{Frame, read};
use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, frame, request_head,
};
use super::hpack::encode;
use super::within;

/// The windows of an HTTP/2 connection until somebody says otherwise, and the largest frame.
const DEFAULT_WINDOW: i64 = 65_535;
const DEFAULT_FRAME: usize = 16_384;

/// What went wrong: the hub broke a rule.
pub(crate) type Broken = String;

/// The settings that a peer begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Window of each stream.
    pub(crate) stream_window: u32,
    /// Window of the connection, beyond the 65,535 bytes that it always has.
    pub(crate) connection_grant: u32,
    /// Streams that the hub may open at once.
    pub(crate) max_streams: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { stream_window: 65_535, connection_grant: 1 << 24, max_streams: 1 << 16 }
    }
}

/// One end of a connection.
pub(crate) struct Peer {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    frames: mpsc::UnboundedReceiver<Frame>,
    reading: JoinHandle<()>,
    queued: Vec<u8>,
    /// What was heard, by stream.
    pub(crate) streams: BTreeMap<u32, Heard>,
    /// Bytes of DATA that the hub may still send on this connection.
    pub(crate) room: i64,
    /// Bytes of DATA that may still be sent to the hub on this connection.
    pub(crate) allowance: i64,
    /// The hub's window for a new stream.
    pub(crate) hub_window: i64,
    stream_window: i64,
    /// By how much windows shrink, and the youngest stream that this is about, for each SETTINGS that the
    /// hub has not acknowledged yet: until it has, it may use the old ones.
    unacknowledged: Vec<(i64, u32)>,
    /// The hub opens the streams.
    is_server: bool,
    block: Option<(u32, u8, Vec<u8>)>,
    pings: u64,
    pongs: u64,
    /// The last stream and the code of the hub's GOAWAY.
    pub(crate) gone_away: Option<(u32, u32)>,
    /// The hub has closed the connection.
    pub(crate) ended: bool,
}

impl Peer {
    /// Connects to a hub as its client.
    pub(crate) async fn client(hub: SocketAddr, settings: Settings) -> Self {
        let tcp = within("a connection", TcpStream::connect(hub)).await.expect("connected");
        tcp.set_nodelay(true).unwrap();
        let mut peer = Self::on(tcp, settings);
        peer.queued = [PREFACE, &peer.queued].concat();
        peer.begun().await
    }

    /// Answers a hub as the server at the other end of `io`.
    pub(crate) async fn server<S>(mut io: S, settings: Settings) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let mut preface = [0; PREFACE.len()];
        within("a preface", io.read_exact(&mut preface)).await.expect("a preface");
        assert_eq!(preface, PREFACE);
        let mut peer = Self::on(io, settings);
        peer.is_server = true;
        peer.begun().await
    }

    fn on<S>(io: S, settings: Settings) -> Self
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut reader, writer) = tokio::io::split(io);
        let (sender, frames) = mpsc::unbounded_channel();
        let reading = tokio::spawn(async move {
            while let Ok(frame) = read(&mut reader).await
                && sender.send(frame).is_ok()
            {}
        });
        let mut peer = Self {
            writer: Box::new(writer),
            frames,
            reading,
            queued: Vec::new(),
            streams: BTreeMap::new(),
            room: DEFAULT_WINDOW,
            allowance: DEFAULT_WINDOW,
            hub_window: DEFAULT_WINDOW,
            stream_window: settings.stream_window.into(),
            unacknowledged: vec![(0, 0)],
            is_server: false,
            block: None,
            pings: 0,
            pongs: 0,
            gone_away: None,
            ended: false,
        };
        peer.send(
            SETTINGS,
            0,
            0,
            &[
                setting(HEADER_TABLE_SIZE, 0),
                setting(MAX_CONCURRENT_STREAMS, settings.max_streams),
                setting(INITIAL_WINDOW_SIZE, settings.stream_window),
            ]
            .concat(),
        );
        peer.grant(0, settings.connection_grant);
        peer
    }

    async fn begun(mut self) -> Self {
        self.flush().await;
        self.ping().await.expect("a connection by the rules");
        // A client's connection gets a window beyond what it begins with, after the settings.
        self.until("a window", |peer| peer.is_server || peer.allowance > DEFAULT_WINDOW).await;
        self
    }

    /// Queues a frame.
    pub(crate) fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.queued.extend(frame(kind, flags, stream, payload));
    }

    /// Queues frames of a stream.
    pub(crate) fn queue(&mut self, stream: u32, frames: &[u8]) {
        self.known(stream);
        self.queued.extend_from_slice(frames);
    }

    /// Whether the hub's windows have room for so much DATA.
    pub(crate) fn allows(&mut self, stream: u32, bytes: usize) -> bool {
        let allowance = self.known(stream).allowance.min(self.allowance);
        bytes == 0 || bytes as i64 <= allowance
    }

    /// Queues HEADERS, and CONTINUATION after it where one frame of the usual size cannot hold it.
    pub(crate) fn head<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        stream: u32,
        headers: &[(N, V)],
        flags: u8,
    ) {
        self.known(stream);
        let block = encode(headers);
        let mut pieces = block.chunks(DEFAULT_FRAME).peekable();
        let (mut kind, mut flags) = (HEADERS, flags);
        while let Some(piece) = pieces.next() {
            flags |= if pieces.peek().is_none() { END_HEADERS } else { 0 };
            self.send(kind, flags, stream, piece);
            (kind, flags) = (CONTINUATION, 0);
        }
    }

    /// Queues the head of a gRPC call.
    pub(crate) fn call(&mut self, stream: u32, name: &str, path: &str, flags: u8) {
        self.known(stream);
        self.send(HEADERS, END_HEADERS | flags, stream, &request_head(name, path));
    }

    /// Queues an answer that is nothing but trailers.
    pub(crate) fn answer(&mut self, stream: u32) {
        self.head(stream, &[(":status", "200"), ("grpc-status", "0")], END_STREAM);
    }

    /// Queues DATA.
    pub(crate) fn data(&mut self, stream: u32, data: &[u8], flags: u8) {
        self.spend(stream, data.len());
        self.send(DATA, flags, stream, data);
    }

    /// Notes DATA that is sent to the hub.
    pub(crate) fn spend(&mut self, stream: u32, bytes: usize) {
        self.allowance -= bytes as i64;
        self.known(stream).allowance -= bytes as i64;
    }

    /// Queues RST_STREAM.
    pub(crate) fn reset(&mut self, stream: u32, code: u32) {
        self.send(RST_STREAM, 0, stream, &code.to_be_bytes());
    }

    /// Queues GOAWAY.
    pub(crate) fn go_away(&mut self, last: u32, code: u32) {
        self.send(GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat());
    }

    /// Widens the window of a stream, or of the connection for 0.
    pub(crate) fn grant(&mut self, stream: u32, bytes: u32) {
        if bytes == 0 {
            return;
        }
        let room = if stream == 0 { &mut self.room } else { &mut self.known(stream).room };
        *room += i64::from(bytes);
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    }

    /// Changes the window of every stream, of those that are open by the difference.
    pub(crate) fn resize(&mut self, stream_window: u32) {
        let by = i64::from(stream_window) - self.stream_window;
        self.stream_window += by;
        let youngest = self.streams.keys().copied().max().unwrap_or(0);
        // Streams that the hub opens before it has heard are older.
        let youngest = if self.is_server { u32::MAX } else { youngest };
        self.widen(by.max(0), youngest);
        self.unacknowledged.push((by.min(0), youngest));
        self.send(SETTINGS, 0, 0, &setting(INITIAL_WINDOW_SIZE, stream_window));
    }

    /// Changes how many streams the hub may open at once.
    pub(crate) fn limit_streams(&mut self, max_streams: u32) {
        self.unacknowledged.push((0, 0));
        self.send(SETTINGS, 0, 0, &setting(MAX_CONCURRENT_STREAMS, max_streams));
    }

    fn widen(&mut self, by: i64, youngest: u32) {
        for (_, stream) in self.streams.range_mut(..=youngest) {
            stream.room += by;
        }
    }

    /// Writes what is queued.
    pub(crate) async fn flush(&mut self) {
        let queued = std::mem::take(&mut self.queued);
        let written = async {
            // Fails once the hub has closed the connection, of which reading tells.
            _ = self.writer.write_all(&queued).await;
            _ = self.writer.flush().await;
        };
        within("frames written", written).await;
    }

    /// Writes what is queued and waits until the hub has read all of it.
    pub(crate) async fn ping(&mut self) -> Result<(), Broken> {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        self.send(PING, 0, 0, &payload);
        self.flush().await;
        while (self.pongs < self.pings || !self.unacknowledged.is_empty()) && !self.ended {
            within("an answer to a ping", self.hear()).await?;
        }
        Ok(())
    }

    /// Hears one frame, and keeps what it says. Cancel-safe.
    pub(crate) async fn hear(&mut self) -> Result<(), Broken> {
        match self.frames.recv().await {
            Some(frame) => self.note(frame).await,
            None if self.ended => std::future::pending().await,
            None => {
                self.ended = true;
                Ok(())
            }
        }
    }

    /// Hears frames until what it has heard is enough.
    pub(crate) async fn until(&mut self, what: &str, enough: impl Fn(&Self) -> bool) {
        let heard = async {
            while !enough(self) {
                assert!(!self.ended, "the connection ended: {:?}", self.gone_away);
                self.hear().await.expect("frames by the rules");
            }
        };
        within(what, heard).await;
    }

    /// Loses the connection without a word.
    pub(crate) async fn cut(&mut self) {
        self.ended = true;
        self.reading.abort();
        // Only then are both halves of the connection gone.
        _ = (&mut self.reading).await;
        self.writer = Box::new(tokio::io::sink());
    }

    /// Waits for a request with this path, and returns its stream.
    pub(crate) async fn request(&mut self, path: &str) -> u32 {
        self.until(path, |peer| peer.stream_of(path).is_some()).await;
        self.stream_of(path).expect("a request")
    }

    /// The stream of the request with this path.
    pub(crate) fn stream_of(&self, path: &str) -> Option<u32> {
        let mut heads =
            self.streams.iter().filter_map(|(id, heard)| Some((id, heard.head.as_ref()?)));
        let path = (":path".to_owned(), path.to_owned());
        heads.find(|(_, head)| head.contains(&path)).map(|(stream, _)| *stream)
    }

    /// What was heard on a stream.
    pub(crate) fn heard(&self, stream: u32) -> &Heard {
        &self.streams[&stream]
    }

    fn known(&mut self, stream: u32) -> &mut Heard {
        let unheard = self.unacknowledged.iter().map(|(by, _)| by).sum::<i64>();
        let room = self.stream_window - if self.is_server { unheard } else { 0 };
        let allowance = self.hub_window;
        let new = || Heard { room, allowance, told: allowance, ..Heard::default() };
        self.streams.entry(stream).or_insert_with(new)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The connection is lost only when both of its halves are gone.
        self.reading.abort();
    }
}

const HEADER_TABLE_SIZE: u16 = 1;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const INITIAL_WINDOW_SIZE: u16 = 4;

/// One parameter of SETTINGS.
fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}
