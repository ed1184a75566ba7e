//! From the text of an expression to a tree that asks for nothing but what rules have, or what is wrong
//! with it and where.

use std::collections::HashMap;
use std::ops::Range;
use std::thread;

use cel::ParseErrors;
use cel::common::ast::{ComprehensionExpr, Expr, IdedExpr, LiteralValue, SourceInfo, operators};

use super::super::diagnose::{nearest, shown};
use super::super::resolve::pattern::Fault;
use super::kind::{Kind, kind};
use super::name::ROOTS;
use super::place::at;
use super::{ENVIRONMENT, Patterns, Reference};

/// Characters that an expression may have.
pub(super) const LONGEST: usize = 2048;
/// Parts within one another: evaluation takes a piece of the stack for each.
const DEEPEST: usize = 32;
/// The parser takes hundreds of KiB for each pair of parentheses in an unoptimized build.
const STACK: usize = 32 * 1024 * 1024;

/// A tree with a number for each variable, and what the numbers stand for.
type Checked = (IdedExpr, Vec<Reference>);

/// Reads `source` on a thread whose stack suffices.
pub(super) fn check(
    source: &str,
    parameters: Option<&[&str]>,
    patterns: &mut Patterns,
) -> Result<Checked, Vec<Fault>> {
    let whole = |message: String, hint: &str| Fault {
        message,
        range: 0..source.len(),
        hint: hint.to_owned(),
    };
    if source.trim().is_empty() {
        return Err(vec![whole("the expression is empty".to_owned(), "")]);
    }
    if source.chars().count() > LONGEST {
        let message = format!("the expression is longer than {LONGEST} characters");
        return Err(vec![whole(message, SPLIT)]);
    }
    let checked = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let read = thread.spawn_scoped(scope, || read(source, parameters, patterns));
        read.ok().and_then(|thread| thread.join().ok())
    });
    checked.unwrap_or_else(|| {
        let message = "the expression could not be read".to_owned();
        Err(vec![whole(message, "")])
    })
}

const SPLIT: &str = "make several rules of it: one of them has to hold";

fn read(
    source: &str,
    parameters: Option<&[&str]>,
    patterns: &mut Patterns,
) -> Result<Checked, Vec<Fault>> {
    let parser = ENVIRONMENT.parser();
    let parser = parser.max_recursion_depth(u16::try_from(DEEPEST).unwrap_or(u16::MAX));
    let (mut tree, places) = match parser.parse_with_source_info(source) {
        Ok(parsed) => parsed,
        Err(errors) => return Err(vec![syntax(source, errors)]),
    };
    if is_deeper(&tree, DEEPEST) {
        return Err(vec![too_deep(source)]);
    }
    let mut checker = Checker {
        source,
        places,
        replaced: HashMap::new(),
        parameters,
        patterns,
        references: Vec::new(),
        bound: Vec::new(),
        faults: Vec::new(),
    };
    checker.walk(&mut tree);
    let outcome = kind(&tree.expr, &checker.references);
    let asks =
        |reference: &Reference| !matches!(reference, Reference::Pattern(_) | Reference::Words(_));
    if checker.faults.is_empty() && !checker.references.iter().any(asks) {
        let hint = "name what a rule goes by, such as `user.tier`";
        let message = "the expression asks for nothing";
        checker.fault(0..source.len(), message, hint);
    } else if checker.faults.is_empty() && !outcome.may_be(Kind::Bool) {
        let hint = "a rule holds when its expression is true: compare it with something";
        let message = format!("the expression gives {outcome}, not true or false");
        checker.fault(0..source.len(), message, hint);
    }
    match checker.faults.is_empty() {
        true => Ok((tree, checker.references)),
        false => Err(checker.faults),
    }
}

fn syntax(source: &str, errors: ParseErrors) -> Fault {
    // What follows the first error mostly follows from it.
    let first = errors.errors.into_iter().next();
    let (place, text) = first.map_or_else(Default::default, |error| (error.pos, error.msg));
    if text.contains("Recursion limit") {
        return too_deep(source);
    }
    let text = text.lines().next().unwrap_or_default();
    let text = text.strip_prefix("Syntax error: ").unwrap_or(text);
    let range = at(source, place);
    let hint = match source.get(range.clone()) {
        Some("=") => "equality is `==`",
        _ if text.contains("has()") => {
            "`has` asks for what stands behind a dot: `has(claims.org)`; else write `\"x-beta\" in request.headers`"
        }
        _ => "the language is CEL (https://cel.dev), as in `user.tier == \"pro\"`",
    };
    Fault {
        message: format!("this is no expression: {text}"),
        range,
        hint: hint.to_owned(),
    }
}

fn too_deep(source: &str) -> Fault {
    Fault {
        message: format!("more than {DEEPEST} parts of the expression are within one another"),
        range: 0..source.len(),
        hint: SPLIT.to_owned(),
    }
}

/// Whether more than `levels` are within one another.
fn is_deeper(expr: &IdedExpr, levels: usize) -> bool {
    let Some(left) = levels.checked_sub(1) else {
        return true;
    };
    parts(&expr.expr)
        .into_iter()
        .any(|part| is_deeper(part, left))
}

/// What an expression is made of.
pub(super) fn parts(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Call(call) => {
            let target = call.target.as_deref().into_iter();
            target.chain(&call.args).collect()
        }
        Expr::Comprehension(parts) => vec![
            &parts.iter_range,
            &parts.accu_init,
            &parts.loop_cond,
            &parts.loop_step,
            &parts.result,
        ],
        // The last two are refused wherever they are.
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified | Expr::Map(_) | Expr::Struct(_) => {
            Vec::new()
        }
    }
}

/// The number in `@0`.
pub(super) fn number_of(name: &str) -> Option<usize> {
    name.strip_prefix('@')?.parse().ok()
}

pub(super) struct Checker<'s> {
    pub(super) source: &'s str,
    pub(super) places: SourceInfo,
    /// Of what a number stands for, by the number's place in the tree.
    pub(super) replaced: HashMap<u64, Range<usize>>,
    /// `None` when the path could not be read.
    pub(super) parameters: Option<&'s [&'s str]>,
    pub(super) patterns: &'s mut Patterns,
    pub(super) references: Vec<Reference>,
    /// The variable of the loop that this is in.
    pub(super) bound: Vec<String>,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    pub(super) fn fault(
        &mut self,
        range: Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.faults.push(Fault {
            message: message.into(),
            range,
            hint: hint.into(),
        });
    }

    pub(super) fn walk(&mut self, expr: &mut IdedExpr) {
        if let Some(chain) = self.chain(expr) {
            self.variable(expr, &chain);
            return;
        }
        let range = self.range(expr);
        match &mut expr.expr {
            Expr::Literal(LiteralValue::Bytes(_)) | Expr::Map(_) | Expr::Struct(_) => {
                let message = "bytes, maps and messages have no place in a rule";
                self.fault(range, message, "");
            }
            Expr::Literal(_) => {}
            Expr::Ident(name) if name.starts_with('@') || self.bound.contains(name) => {}
            Expr::Ident(name) => {
                let message = format!("there is no variable {}", shown(name));
                let hint = match nearest(name, ROOTS) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", ROOTS.join(", ")),
                };
                self.fault(range, message, hint);
            }
            Expr::Select(select) => self.walk(&mut select.operand),
            Expr::List(list) => list.elements.iter_mut().for_each(|item| self.walk(item)),
            Expr::Comprehension(parts) => self.comprehension(parts, range),
            Expr::Call(call) => self.call(call, range),
            Expr::Unspecified => self.fault(range, "something is missing here", ""),
        }
        if let Expr::Call(call) = &mut expr.expr
            && call.func_name == "matches"
        {
            self.pattern(call);
        }
    }
    /// What `exists` and the like become.
    fn comprehension(&mut self, parts: &mut ComprehensionExpr, range: Range<usize>) {
        if is_map(parts) {
            let hint = "ask with `exists`, `all`, `exists_one` or `filter`";
            self.fault(range, "`map` has no place in a rule", hint);
            return;
        }
        self.walk(&mut parts.iter_range);
        let over = kind(&parts.iter_range.expr, &self.references);
        if !over.may_be(Kind::List) {
            let range = self.range(&parts.iter_range);
            self.fault(range, format!("this is {over}, not a list"), "");
        }
        if !self.bound.is_empty() {
            let hint = "what it takes would grow with the square of what a token says";
            self.fault(range.clone(), "a loop within a loop", hint);
        }
        if ROOTS.contains(&parts.iter_var.as_str()) {
            let message = format!("`{}` is taken", parts.iter_var);
            self.fault(range, message, "call the loop's variable otherwise");
        }
        self.bound.push(parts.iter_var.clone());
        self.walk(&mut parts.accu_init);
        self.walk(&mut parts.loop_cond);
        self.walk(&mut parts.loop_step);
        self.walk(&mut parts.result);
        self.bound.pop();
    }
}

/// Whether a loop makes items that were not there, which could grow with each loop over it.
fn is_map(parts: &ComprehensionExpr) -> bool {
    let Expr::Call(step) = &parts.loop_step.expr else {
        return false;
    };
    let step = match (step.func_name.as_str(), step.args.as_slice()) {
        (operators::CONDITIONAL, [_, then, _]) => &then.expr,
        _ => &parts.loop_step.expr,
    };
    let Expr::Call(step) = step else { return false };
    let Some(Expr::List(added)) = step.args.get(1).map(|added| &added.expr) else {
        return false;
    };
    let is_item = |item: &IdedExpr| matches!(&item.expr, Expr::Ident(n) if *n == parts.iter_var);
    step.func_name == operators::ADD && !added.elements.iter().all(is_item)
}
