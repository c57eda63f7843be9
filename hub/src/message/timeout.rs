//! How long a caller waits, as it says.

use std::time::Duration;

/// gRPC's: at most eight digits, and a unit (gRPC over HTTP/2, "Timeout").
pub(crate) fn grpc(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let number = number(digits, 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(3600 * number),
        b'M' => Duration::from_secs(60 * number),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Connect's: at most ten digits of milliseconds ("Timeouts").
pub(crate) fn connect(value: &[u8]) -> Option<Duration> {
    number(value, 10).map(Duration::from_millis)
}

fn number(digits: &[u8], max: usize) -> Option<u64> {
    let is_number = (1..=max).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse().ok()
}
