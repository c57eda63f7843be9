//! How much one caller may have of what all callers of a session share.

/// While so much is left: seven times as much. A caller alone gets seven eighths of all, two get 7/15 each;
/// whatever they do, something is left for the next who comes.
///
/// A threshold that follows what is left shares a buffer out without knowing how many will come (Choudhury
/// and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998).
pub(crate) fn fair_share(left: usize) -> usize {
    left.saturating_mul(7)
}

/// How much of a connection's window one caller may have in use, where `left` bytes of the `whole` are left.
///
/// A caller who is alone gets seven eighths. Uploads that stall do not give back what they have when more
/// callers come, so with several that rule would leave nothing after a few. With the cube of what is left,
/// after a hundred that took what they could, the next still gets 90 bytes of a mebibyte; `UPLOAD_FIRST`
/// sees to it that also after hundreds it is a small message.
pub(crate) fn fair_upload(left: usize, whole: usize, alone: bool) -> usize {
    if alone {
        return whole / 8 * 7;
    }
    let part = left as f64 / whole.max(1) as f64;
    (16.0 * whole as f64 * part.powi(3)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_who_take_what_they_can_leave_something() {
        for callers in [1, 2, 10] {
            let mut taken = vec![0; callers];
            for i in (0..callers).cycle().take(10_000) {
                let left = 1000 - taken.iter().sum::<usize>();
                if taken[i] < fair_share(left) {
                    taken[i] += 1;
                }
            }
            let left = 1000 - taken.iter().sum::<usize>();
            assert!(left >= 1000 / (7 * callers + 1), "{callers} leave {left}");
        }
    }
}
