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
    #[error("--{flag} has {values} values for {names} names: give one for each, or one for all")]
    Count { flag: String, values: usize, names: usize },
}

/// The names, and where each of them was typed.
pub(super) struct Scopes<'m> {
    names: &'m [Name],
    matches: &'m ArgMatches,
    /// Not of one alone, for which everything holds, nor of those from the environment, nor where one argument has several.
    typed: Vec<usize>,
}

impl<'m> Scopes<'m> {
    /// Of the names that `--name` has.
    pub(super) fn new(names: &'m [Name], matches: &'m ArgMatches) -> Self {
        let scopes = Self { names, matches, typed: Vec::new() };
        let arguments = matches.get_occurrences::<Name>("names").map_or(0, Iterator::count);
        let is_each = names.len() > 1 && arguments == names.len();
        let typed = if is_each { scopes.places("names") } else { Vec::new() };
        Self { typed, ..scopes }
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
        if !self.is_scoped(id) && names > 1 && values.len() > 1 {
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

    /// For each name whether one of these arguments was typed for it alone.
    pub(super) fn own_each(&self, ids: &[&str]) -> Vec<bool> {
        let scoped = ids.iter().filter(|id| self.is_scoped(id));
        let own: Vec<_> =
            scoped.flat_map(|id| self.places(id)).filter_map(|at| self.of(at)).collect();
        (0..self.names.len()).map(|nth| own.contains(&nth)).collect()
    }

    /// For each name all that this argument says.
    pub(super) fn some_each<T: Clone>(&self, id: &str, values: &[T]) -> Vec<Vec<T>> {
        if !self.is_scoped(id) {
            return vec![values.to_vec(); self.names.len()];
        }
        let (places, mut said) = (self.places(id), vec![Vec::new(); self.names.len()]);
        let mut of_all = Vec::new();
        for (place, value) in places.into_iter().zip(values) {
            match self.of(place) {
                Some(nth) => said[nth].push(value.clone()),
                None => of_all.push(value.clone()),
            }
        }
        for said in said.iter_mut().filter(|said| said.is_empty()) {
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
