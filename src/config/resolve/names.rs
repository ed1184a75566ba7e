//! What routes may refer to: tiers, upstreams, headers, and expressions that were read already.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::cel::{Expression, Patterns};
use super::super::checked::{Auth, Cors, Tier};
use super::super::decode::{At, Field};
use super::super::diagnose::{Findings, nearest, one_of, shown};
use super::super::raw::RawConfig;
use super::route::path_options;
use super::{headers, pattern};

/// What routes may refer to.
pub struct Names<'a> {
    tiers: &'a BTreeMap<String, Tier>,
    /// False when the tiers could not be read, so that none can be said to be missing.
    tiers_are_known: bool,
    /// In the order of the file; `None` when they could not be read.
    upstreams: Option<Vec<&'a str>>,
    upstream_index: HashMap<&'a str, usize>,
    pub headers: headers::Taken,
    /// Of routes that say nothing of it.
    pub cors: Option<Arc<Cors>>,
    /// Whom accounts are given to, and what people do with them.
    pub auth: &'a Auth,
    /// Some route asks for paths to be read without regard to case.
    pub folds: bool,
    /// Those read so far, by what they say and the parameters that they may: many routes have the same.
    expressions: RefCell<HashMap<ExpressionKey, Expression>>,
    patterns: RefCell<Patterns>,
}

type ExpressionKey = (String, Option<Vec<String>>);

impl<'a> Names<'a> {
    /// `tiers` and `auth` are the resolved ones.
    pub fn new(
        raw: &'a RawConfig,
        tiers: &'a BTreeMap<String, Tier>,
        auth: &'a Auth,
        cors: Option<Arc<Cors>>,
    ) -> Names<'a> {
        let upstreams = raw.upstreams.get().map(|u| u.names().collect::<Vec<_>>());
        let places = upstreams.iter().flatten().enumerate();
        Names {
            tiers,
            tiers_are_known: !matches!(raw.tiers, Field::Invalid),
            upstream_index: places.map(|(i, name)| (*name, i)).collect(),
            upstreams,
            headers: headers::Taken::of(raw),
            cors,
            auth,
            folds: raw.routes.get().is_some_and(|routes| {
                let options = routes.0.iter().map(|at| path_options(&at.value));
                options.into_iter().any(|options| options.case_insensitive)
            }),
            expressions: RefCell::default(),
            patterns: RefCell::default(),
        }
    }

    /// # Errors
    /// Everything that is wrong with the expression.
    pub fn expression(
        &self,
        source: &str,
        parameters: Option<&[&str]>,
    ) -> Result<Expression, Vec<pattern::Fault>> {
        let owned = parameters.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let key = (source.to_owned(), owned);
        if let Some(known) = self.expressions.borrow().get(&key) {
            return Ok(known.clone());
        }
        let mut patterns = self.patterns.borrow_mut();
        let expression = Expression::compile_among(source, parameters, &mut patterns)?;
        let mut expressions = self.expressions.borrow_mut();
        Ok(expressions.entry(key).or_insert(expression).clone())
    }

    /// The rank of a tier that the file declares.
    pub fn rank(&self, name: &str) -> Option<u32> {
        self.tiers.get(name).map(|tier| tier.rank)
    }

    /// The tier of a name; reports when the file declares none.
    pub fn tier(&self, name: &At<String>, findings: &mut Findings) -> Option<&Tier> {
        let tier = self.tiers.get(&name.value);
        if tier.is_none() && self.tiers_are_known {
            let known = self.tiers.keys().map(String::as_str);
            unknown("tier", name, known, findings);
        }
        tier
    }

    pub fn upstream(&self, name: &At<String>, findings: &mut Findings) -> usize {
        let index = self.upstream_index.get(name.value.as_str());
        if let (None, Some(known)) = (index, &self.upstreams) {
            unknown("upstream", name, known.iter().copied(), findings);
        }
        index.copied().unwrap_or(0)
    }
}

/// Reports a name that is none of those that the file declares.
pub(super) fn unknown<'a>(
    what: &str,
    name: &At<String>,
    known: impl Iterator<Item = &'a str>,
    findings: &mut Findings,
) {
    // Distances to more names than this take longer than the hint is worth.
    let known: Vec<&str> = known.take(500).collect();
    let near = nearest(&name.value, known.iter().copied());
    let message = format!("the {what} {} is not declared", shown(&name.value));
    let finding = findings.error(name.span, message);
    match near {
        Some(near) => finding.hint(format!("did you mean `{near}`?")),
        None if known.is_empty() => {}
        None => finding.hint(format!("declared: {}", some_of(known.into_iter()))),
    }
}

/// As many of the names as are worth reading.
pub(super) fn some_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    one_of(names.take(12))
}
