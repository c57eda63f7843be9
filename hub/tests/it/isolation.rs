//! Whatever somebody does, nobody else notices.

mod floods;
mod hostile;
mod paces;
mod shares;
