//! The headers of a registration: what they say survives being written and read again.
//!
//! Input: lines of `header: value`, as in HTTP/1.1; other lines are left out.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use tunnel::registration::Registration;

fuzz_target!(|data: &[u8]| {
    let headers: HeaderMap = data.split(|&byte| byte == b'\n').filter_map(header).fold(
        HeaderMap::new(),
        |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        },
    );
    let registration = match Registration::from_headers(&headers) {
        Ok(registration) => registration,
        Err(error) => {
            assert!(!error.to_string().contains('\n'), "an answer is one line: {error}");
            return;
        }
    };
    let mut written = HeaderMap::new();
    registration.write_to(&mut written).expect("what was read can be written");
    assert_eq!(Registration::from_headers(&written), Ok(registration));
});

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}
