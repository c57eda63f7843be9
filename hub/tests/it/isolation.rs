//! Whatever somebody does, nobody else notices.

mod floods;
mod fronts;
mod hostile;
mod paces;
mod shares;
