//! Finding entries by name.

use super::{TensorInfo, Value};

/// Something with a name that is unique in its list.
pub(super) trait Named {
    fn name(&self) -> &str;
}

impl Named for (String, Value) {
    fn name(&self) -> &str {
        &self.0
    }
}

impl Named for TensorInfo {
    fn name(&self) -> &str {
        self.name()
    }
}

/// The positions of a list's entries in the order of their names. The list stays in file order.
#[derive(Debug, Clone)]
pub(super) struct Index(Vec<usize>);

impl Index {
    /// Fails with the position of an entry whose name occurs more than once.
    pub(super) fn new<T: Named>(list: &[T]) -> Result<Index, usize> {
        let mut order: Vec<usize> = (0..list.len()).collect();
        order.sort_unstable_by_key(|&i| list[i].name());
        match order.windows(2).find(|w| list[w[0]].name() == list[w[1]].name()) {
            Some(pair) => Err(pair[0]),
            None => Ok(Index(order)),
        }
    }

    /// The entry of that name in the list that the index was made from.
    pub(super) fn find<'a, T: Named>(&self, list: &'a [T], name: &str) -> Option<&'a T> {
        let at = self.0.binary_search_by_key(&name, |&i| list[i].name()).ok()?;
        list.get(self.0[at])
    }
}
