//! What can be done to a switch, and how sequences of it are made up.

use proptest::collection::vec;
use proptest::prelude::*;

use super::call::REFUSED_STREAM;
use crate::support::peer::Settings;

/// Calls in one case.
pub(super) const CALLS: usize = 3;
/// The largest frame that a hub takes.
const HUB_FRAME: usize = 16_384;

/// A side of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Upstream,
}

impl Side {
    pub(super) fn other(self) -> Self {
        if self == Self::Client { Self::Upstream } else { Self::Client }
    }
}

/// Does something on one side. What HTTP/2 does not allow at that moment is left out, so every part of a
/// sequence is a sequence, too.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) side: Side,
    pub(super) call: usize,
    pub(super) act: Act,
    /// The next step follows in the same write, if it is of the same side.
    pub(super) together: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    /// The head of the request or of the response.
    Head {
        form: Form,
        end: bool,
        wire: Wire,
    },
    /// A 1xx response.
    Informational,
    /// A call that has not begun begins with it. As much of it is said as the windows allow.
    Data {
        bytes: usize,
        padding: Option<u8>,
        end: bool,
    },
    Trailers {
        wire: Wire,
    },
    Reset {
        code: u32,
    },
    /// WINDOW_UPDATE for the stream.
    Grant {
        bytes: u32,
    },
    /// WINDOW_UPDATE for the connection.
    GrantConnection {
        bytes: u32,
    },
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    Resize {
        window: u32,
    },
    /// GOAWAY: the upstream's leaves what is younger than this call, and not answered, unprocessed.
    GoAway {
        code: u32,
    },
}

/// What a request asks for. Only matters where the hub answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Grpc,
    Plain,
}

/// How a header list is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    pub(super) padding: Option<u8>,
    pub(super) priority: bool,
    /// The rest follows in CONTINUATION frames.
    pub(super) split: bool,
}

/// How a case ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finale {
    /// Every call is brought to a good end.
    Finished,
    ClientLost,
    SessionLost,
}

#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) client: Settings,
    pub(super) upstream: Settings,
    pub(super) steps: Vec<Step>,
    pub(super) finale: Finale,
}

pub(super) fn case() -> impl Strategy<Value = Case> {
    let finale = prop_oneof![
        4 => Just(Finale::Finished),
        1 => Just(Finale::ClientLost),
        1 => Just(Finale::SessionLost),
    ];
    (settings(), settings(), vec(step(), 1..60), finale)
        .prop_map(|(client, upstream, steps, finale)| Case { client, upstream, steps, finale })
}

/// Tight windows and wide ones.
fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![Just(1 << 20), Just(65_535), Just(100), Just(1), Just(0)];
    let grant = prop_oneof![Just(300_000), Just(0)];
    (window, grant).prop_map(|(stream_window, connection_grant)| Settings {
        stream_window,
        connection_grant,
        ..Settings::default()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let side = prop_oneof![Just(Side::Client), Just(Side::Upstream)];
    let together = prop::bool::weighted(0.3);
    (side, 0..CALLS, act(), together).prop_map(|(side, call, act, together)| Step {
        side,
        call,
        act,
        together,
    })
}

fn act() -> impl Strategy<Value = Act> {
    let form = prop_oneof![Just(Form::Grpc), Just(Form::Plain)];
    let rarely = || prop::bool::weighted(0.1);
    let granted = || prop_oneof![Just(1), 2..300_u32, Just(16_384), Just(70_000)];
    let window = prop_oneof![Just(1 << 20), Just(65_535), Just(100), Just(1), Just(0)];
    prop_oneof![
        16 => (form, rarely(), wire()).prop_map(|(form, end, wire)| Act::Head { form, end, wire }),
        4 => Just(Act::Informational),
        40 => (bytes(), padding(), rarely()).prop_map(|(bytes, padding, end)| {
            let bytes = bytes.min(HUB_FRAME - padding.map_or(0, |padding| 1 + usize::from(padding)));
            Act::Data { bytes, padding, end }
        }),
        4 => wire().prop_map(|wire| Act::Trailers { wire }),
        5 => code().prop_map(|code| Act::Reset { code }),
        16 => granted().prop_map(|bytes| Act::Grant { bytes }),
        8 => granted().prop_map(|bytes| Act::GrantConnection { bytes }),
        4 => window.prop_map(|window| Act::Resize { window }),
        1 => prop_oneof![Just(0_u32), Just(11)].prop_map(|code| Act::GoAway { code }),
    ]
}

fn bytes() -> impl Strategy<Value = usize> {
    prop_oneof![
        1 => Just(0),
        3 => Just(1),
        3 => 2..300_usize,
        4 => Just(HUB_FRAME),
    ]
}

fn padding() -> impl Strategy<Value = Option<u8>> {
    prop_oneof![3 => Just(None), 1 => prop_oneof![Just(0), Just(255), any::<u8>()].prop_map(Some)]
}

fn wire() -> impl Strategy<Value = Wire> {
    let sometimes = || prop::bool::weighted(0.2);
    (padding(), sometimes(), sometimes()).prop_map(|(padding, priority, split)| Wire {
        padding,
        priority,
        split,
    })
}

/// Every code there is, and one that nobody knows; more often the one by which calls are sent once more.
fn code() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0..=13_u32, 3 => Just(REFUSED_STREAM), 1 => Just(0xdead_beef)]
}
