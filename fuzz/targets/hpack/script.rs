//! Lists of fields and sizes of tables, as an input chooses them.

use fuzz::Draw;

/// From the static table, with and without a value there, and others.
const NAMES: [&str; 14] = [
    ":authority",
    ":method",
    ":path",
    ":status",
    "accept-encoding",
    "www-authenticate",
    "cookie",
    "te",
    "grpc-status",
    "grpc-message",
    "x",
    "",
    "content-type",
    "authorization",
];
const VALUES: [&str; 10] = [
    "",
    "GET",
    "/",
    "200",
    "gzip, deflate",
    "application/grpc",
    "trailers",
    "0",
    "\u{0}\u{ff}",
    "Bearer x",
];
/// Lengths of values, about what a table holds and around where an integer takes another byte.
const LENGTHS: [usize; 10] = [30, 126, 127, 128, 254, 255, 1000, 4032, 4064, 4200];
/// Blocks of a script: more only take longer.
pub const BLOCKS_MAX: usize = 16;
/// Fields of a block, and changes of the size before it.
const FIELDS_MAX: usize = 16;
const SIZES_MAX: usize = 4;

/// A field, and how it is to be written.
#[derive(Clone, Debug)]
pub struct Line {
    pub name: Vec<u8>,
    pub value: Vec<u8>,
    pub how: u8,
}

/// The next block's fields.
pub fn lines(draw: &mut Draw<'_>) -> Vec<Line> {
    let count = draw.below(FIELDS_MAX);
    (0..count).map(|_| line(draw)).collect()
}

/// Sizes that the table is told to have before the next block.
pub fn sizes(draw: &mut Draw<'_>, of: &[u32]) -> Vec<u32> {
    let count = draw.byte();
    // Most blocks have none.
    let count = if count < 128 { 0 } else { usize::from(count) % SIZES_MAX + 1 };
    (0..count).map(|_| draw.one(of)).collect()
}

fn line(draw: &mut Draw<'_>) -> Line {
    let how = draw.byte();
    let name = match draw.byte() {
        drawn @ 240.. => draw.take(usize::from(drawn - 240)).to_vec(),
        nth => NAMES[usize::from(nth) % NAMES.len()].into(),
    };
    let value = match draw.byte() {
        drawn @ 220.. => draw.take(usize::from(drawn - 220)).to_vec(),
        long @ 180.. => vec![draw.byte(); LENGTHS[usize::from(long) % LENGTHS.len()]],
        nth => VALUES[usize::from(nth) % VALUES.len()].into(),
    };
    Line { name, value, how }
}
