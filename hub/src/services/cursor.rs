//! Where a watcher of activity has been, in words that it need not understand.

use tonic::Status;

use crate::observe::activity::Place;

/// A place in what has happened at this hub.
pub(super) fn cursor(node: &str, Place { traffic, others }: Place) -> String {
    format!("{node}.{traffic}.{others}")
}

/// The place that it tells. In what has happened at this hub, one of another hub is the beginning.
///
/// # Errors
/// It is no cursor.
pub(super) fn place(node: &str, cursor: &str) -> Result<Place, Status> {
    let place = || {
        let (rest, others) = cursor.rsplit_once('.')?;
        let (of, traffic) = rest.rsplit_once('.')?;
        Some((of, Place { traffic: traffic.parse().ok()?, others: others.parse().ok()? }))
    };
    match place() {
        Some((of, place)) if of == node => Ok(place),
        Some(_) => Ok(Place::default()),
        None => Err(Status::invalid_argument("`after` is no cursor of an event")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let there = Place { traffic: 7, others: u64::MAX };
        let written = cursor("0123", there);
        assert_eq!(place("0123", &written).expect("a place"), there);
        assert_eq!(place("4567", &written).expect("a place"), Place::default());
        for wrong in ["0123", "0123.1", "0123.1.x", "0123.-1.1", "."] {
            assert!(place("0123", wrong).is_err(), "{wrong}");
        }
    }
}
