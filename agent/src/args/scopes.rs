//! Which part of a command line holds for which of several names: what is behind a name holds for that name, and what is
//! before the first one for all.

use clap::ArgMatches;
use clap::parser::ValueSource;
use tunnel::name::Name;

/// What was said twice of one name, or not of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScopeError {
    #[error("--{flag} is given twice for the name \"{name}\"")]
    Twice { flag: String, name: Name },
    #[error("--{flag} and --{other} go together, and the name \"{name}\" has one of them")]
    Pair { flag: &'static str, other: &'static str, name: Name },
    #[error("--name is given several times, and once with several names: give it once for each")]
    Mixed,
    #[error("--{flag} has {values} values for {names} names: give one for each, or one for all")]
    Count { flag: String, values: usize, names: usize },
}

/// The names, and where each of them was typed.
pub(super) struct Scopes<'m> {
    names: &'m [Name],
    matches: &'m ArgMatches,
    /// Not of one alone, for which everything holds, nor of those from the environment, nor where one argument has several.
    typed: Vec<usize>,
    /// What was said of all does not count.
    is_own: bool,
}

impl<'m> Scopes<'m> {
    /// Of the names that `--name` has.
    ///
    /// # Errors
    /// It is neither one argument nor one for each.
    pub(super) fn new(names: &'m [Name], matches: &'m ArgMatches) -> Result<Self, ScopeError> {
        let scopes = Self { names, matches, typed: Vec::new(), is_own: false };
        let arguments = matches.get_occurrences::<Name>("names").map_or(0, Iterator::count);
        match arguments {
            0 | 1 => Ok(scopes),
            each if each == names.len() => Ok(Self { typed: scopes.places("names"), ..scopes }),
            _ => Err(ScopeError::Mixed),
        }
    }

    /// The same names, and of what was said only what is one's own.
    pub(super) fn own(&self) -> Self {
        Self { names: self.names, matches: self.matches, typed: self.typed.clone(), is_own: true }
    }

    /// Where the values of an argument were typed, if they were.
    fn places(&self, id: &str) -> Vec<usize> {
        let is_typed = self.matches.value_source(id) == Some(ValueSource::CommandLine);
        let places = self.matches.indices_of(id).filter(|_| is_typed);
        places.into_iter().flatten().collect()
    }

    /// For each name what this argument says, which it may do once.
    pub(super) fn one_each<T: Clone>(
        &self,
        id: &str,
        values: &[T],
    ) -> Result<Vec<Option<T>>, ScopeError> {
        let (flag, names) = (id.replace('_', "-"), self.names.len());
        if !self.is_scoped(id) && !self.is_own && names > 1 && values.len() > 1 {
            // In the order of the names.
            return if values.len() == names {
                Ok(values.iter().cloned().map(Some).collect())
            } else {
                Err(ScopeError::Count { flag, values: values.len(), names })
            };
        }
        let each = self.names.iter().zip(self.some_each(id, values));
        let one = |(name, values): (&Name, Vec<T>)| match &values[..] {
            [] => Ok(None),
            [one] => Ok(Some(one.clone())),
            _ => Err(ScopeError::Twice { flag: flag.clone(), name: name.clone() }),
        };
        each.map(one).collect()
    }

    /// Whether each name has both or none of two.
    pub(super) fn check_pairs<T>(
        &self,
        flag: &'static str,
        values: &[Option<T>],
        other: &'static str,
        others: &[Option<T>],
    ) -> Result<(), ScopeError> {
        let both = values.iter().zip(others);
        let mut each = self.names.iter().zip(both);
        match each.find(|(_, (one, other))| one.is_some() != other.is_some()) {
            Some((name, _)) => Err(ScopeError::Pair { flag, other, name: name.clone() }),
            None => Ok(()),
        }
    }

    /// For each name all that this argument says.
    pub(super) fn some_each<T: Clone>(&self, id: &str, values: &[T]) -> Vec<Vec<T>> {
        if !self.is_scoped(id) {
            let of_each = if self.is_own { Vec::new() } else { values.to_vec() };
            return vec![of_each; self.names.len()];
        }
        let (places, mut said) = (self.places(id), vec![Vec::new(); self.names.len()]);
        let mut of_all = Vec::new();
        for (place, value) in places.into_iter().zip(values) {
            match self.of(place) {
                Some(nth) => said[nth].push(value.clone()),
                None => of_all.push(value.clone()),
            }
        }
        for said in said.iter_mut().filter(|said| said.is_empty() && !self.is_own) {
            said.clone_from(&of_all);
        }
        said
    }

    /// For which of the names holds what stands there, if not for all.
    fn of(&self, place: usize) -> Option<usize> {
        self.typed.partition_point(|name| *name < place).checked_sub(1)
    }

    /// Whether it matters where the argument stands.
    fn is_scoped(&self, id: &str) -> bool {
        !self.typed.is_empty() && !self.places(id).is_empty()
    }
}
