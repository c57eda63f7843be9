//! Whose fault it is that a call is refused.

use super::refusal::Refusal;

impl Refusal {
    /// Whether the client has done something that it may not, and nobody else is to look after it.
    pub(crate) fn is_clients_fault(&self) -> bool {
        match self {
            Self::NoName
            | Self::BadName(_)
            | Self::BadRequest(_)
            | Self::Connect
            | Self::Origin
            | Self::HeaderList(_)
            | Self::MessageTooLarge(_) => true,
            _ => self.is_of_stranger(),
        }
    }

    /// Whether nobody may tell the hub what to do by such a call, for its caller may not make it.
    pub(crate) fn is_of_stranger(&self) -> bool {
        matches!(self, Self::NoToken | Self::UnknownToken | Self::Denied(_))
    }
}
