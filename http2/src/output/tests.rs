//! What is written comes in its order, and memory is given back.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// All that is to be written, through slices as a socket sees them.
pub(crate) fn written(output: &Output) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 1000];
    let filled = output.slices(&mut slices);
    assert!(slices[..filled].iter().all(|slice| !slice.is_empty()));
    slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect()
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Extend(usize),
    Advance(usize),
    /// Takes it, as far as there is so much.
    Take(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let len = prop_oneof![0..40_usize, 1000..6000_usize];
    prop_oneof![
        len.clone().prop_map(Step::Push),
        len.clone().prop_map(Step::Extend),
        len.clone().prop_map(Step::Advance),
        len.prop_map(Step::Take),
        Just(Step::Advance(usize::MAX)),
    ]
}

/// Bytes that are different wherever they lie.
fn bytes(next: &mut u8, len: usize) -> Vec<u8> {
    let mut one = || {
        *next = next.wrapping_mul(5).wrapping_add(3);
        *next
    };
    (0..len).map(|_| one()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_is_what_was_put_in(steps in vec(step(), 0..60)) {
        let (mut output, mut model, mut next) = (Output::new(), Vec::new(), 0);
        for step in steps {
            match step {
                Step::Push(len) => {
                    let piece = bytes(&mut next, len);
                    model.extend(&piece);
                    output.push(piece.into());
                }
                Step::Extend(len) => {
                    let piece = bytes(&mut next, len);
                    model.extend(&piece);
                    output.extend(&piece);
                }
                Step::Take(len) => {
                    let len = len.min(model.len());
                    let taken = output.copy_to_bytes(len);
                    prop_assert!(model.drain(..len).eq(taken));
                }
                Step::Advance(len) => {
                    model.drain(..len.min(model.len()));
                    output.advance(len);
                }
            }
            prop_assert_eq!((output.len(), output.is_empty()), (model.len(), model.is_empty()));
            prop_assert_eq!(&written(&output), &model);
            prop_assert!(model.starts_with(output.chunk()));
            prop_assert_eq!(output.chunk().is_empty(), model.is_empty());
            if output.is_empty() {
                prop_assert!(output.buffer.capacity() <= BUFFER_KEPT);
                prop_assert!(output.kept.capacity() <= QUEUE_KEPT);
            }
        }
    }
}

#[test]
fn large_pieces_are_kept_and_small_ones_lie_together() {
    let large = Bytes::from(vec![1; KEEP_FROM]);
    let mut output = Output::new();
    output.extend(b"ab");
    output.push(Bytes::from_static(b"cd"));
    output.push(large.clone());
    output.push(large.slice(1..));
    output.push(large.clone());
    let mut slices = [IoSlice::new(&[]); 8];
    assert_eq!(output.slices(&mut slices), 4);
    let lens: Vec<_> = slices.iter().map(|slice| slice.len()).collect();
    assert_eq!(lens, [4, KEEP_FROM, KEEP_FROM - 1, KEEP_FROM, 0, 0, 0, 0]);
    assert_eq!(slices[1].as_ptr(), large.as_ptr());
    let mut few = [IoSlice::new(&[]); 2];
    assert_eq!(output.slices(&mut few), 2);
    assert_eq!(output.slices(&mut []), 0);
}

#[test]
fn large_pieces_are_given_away_as_they_are() {
    let large = Bytes::from(vec![1; 2 * KEEP_FROM]);
    let mut output = Output::new();
    output.extend(b"ab");
    output.push(large.clone());
    assert_eq!((output.chunk(), output.remaining()), (&b"ab"[..], 2 + 2 * KEEP_FROM));
    assert_eq!(output.copy_to_bytes(2), b"ab"[..]);
    assert_eq!(output.copy_to_bytes(KEEP_FROM).as_ptr(), large.as_ptr());
    assert_eq!(output.copy_to_bytes(KEEP_FROM).as_ptr(), large[KEEP_FROM..].as_ptr());
    assert!(output.is_empty());
}

#[test]
fn memory_is_used_again() {
    let mut output = Output::new();
    output.extend(&[0; 100]);
    let at = output.buffer.as_ptr();
    for _ in 0..1000 {
        output.extend(&[0; 100]);
        output.advance(100);
    }
    // What has been written makes room, so no more than a few allocations are needed, and then none.
    assert!(output.buffer.capacity() <= BUFFER_FIRST, "{}", output.buffer.capacity());
    output.advance(100);
    output.extend(b"a");
    assert_eq!(output.buffer.as_ptr(), at);
}

#[test]
fn memory_is_given_back() {
    let mut output = Output::new();
    for _ in 0..100 {
        output.extend(&[0; 1000]);
        output.push(vec![0; KEEP_FROM].into());
    }
    output.advance(output.len() - 1);
    assert!(output.buffer.capacity() >= 100_000);
    output.advance(1);
    assert_eq!((output.buffer.capacity(), output.kept.capacity()), (0, 0));
    // As large again, at once.
    output.extend(b"a");
    assert!(output.buffer.capacity() >= 100_000);
    output.clear();
    output.extend(b"a");
    assert_eq!(output.buffer.capacity(), BUFFER_FIRST);
    output.shrink();
    assert_eq!(output.len(), 1);
    output.clear();
    output.shrink();
    assert_eq!(output.buffer.capacity(), 0);
}
