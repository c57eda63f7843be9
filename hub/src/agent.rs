//! An agent registers: from the upgrade to the end of its session.

pub(crate) mod registrar;
pub(crate) mod upgrade;
