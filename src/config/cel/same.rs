//! Whether two expressions ask the same, however they are written.

use super::{Expression, Reference, Variable};

impl Expression {
    /// Whether both do the same with the same values; blanks, quotes and the names of parameters make no difference.
    /// `is_same_parameter` says of a parameter of this one's path and one of the other's whether they have one value.
    pub fn is_same(
        &self,
        other: &Expression,
        is_same_parameter: impl Fn(&str, &str) -> bool,
    ) -> bool {
        let is_same_variable = |a: &Variable, b: &Variable| match (a, b) {
            (Variable::Path(a), Variable::Path(b)) => is_same_parameter(a, b),
            _ => a == b,
        };
        let is_same_reference = |(a, b): (&Reference, &Reference)| match (a, b) {
            (Reference::Value(a), Reference::Value(b))
            | (Reference::Has(a), Reference::Has(b))
            | (Reference::Members(a), Reference::Members(b)) => is_same_variable(a, b),
            (Reference::Pattern(a), Reference::Pattern(b)) => a.as_str() == b.as_str(),
            (Reference::Words(a), Reference::Words(b)) => a == b,
            _ => false,
        };
        let (a, b) = (&self.0, &other.0);
        // As text they are compared, since `-0.0` equals `0.0`.
        (a.source == b.source || format!("{:?}", a.tree) == format!("{:?}", b.tree))
            && a.references.len() == b.references.len()
            && a.references
                .iter()
                .zip(&b.references)
                .all(is_same_reference)
    }
}
