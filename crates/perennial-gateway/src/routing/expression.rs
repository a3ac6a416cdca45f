//! Expressions in CEL, the Common Expression Language: what a rule asks, and what a header says.
//!
//! Whoever configures the gateway writes them, and everybody's requests are judged by them. So an expression is read once, when the
//! configuration is, and is refused there if it could cost more than a walk over what it looks at: its length, its nesting and
//! its loops are bounded. What cannot be worked out for a request (a claim is missing) is an error, which a rule takes for no.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use cel::common::ast::{EntryExpr, Expr, IdedExpr};
use cel::{Context, Env, ExecutionError, Program};
use serde_json::Value;

use super::facts::Facts;

/// An expression that was read.
///
/// ```
/// use perennial_gateway::Expression;
///
/// assert!(Expression::parse(r#""staff" in claims.groups"#).is_ok());
/// assert!(Expression::parse("claim.groups").is_err());
/// ```
#[derive(Clone)]
pub struct Expression {
    text: String,
    program: Arc<Program>,
    /// Those of [`VARIABLES`] that it looks at.
    looks_at: BTreeSet<&'static str>,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with it and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("write an expression, such as '\"staff\" in claims.groups'".to_owned());
        }
        if text.len() > LENGTH_MAX {
            return Err(format!("write it in {LENGTH_MAX} characters or fewer"));
        }
        if brackets(text) > BRACKETS_MAX {
            return Err(format!("nest no more than {BRACKETS_MAX} brackets"));
        }
        let owned = text.to_owned();
        // The parser descends by many calls for each bracket, deeper than a thread of the runtime may.
        let reader = std::thread::Builder::new().stack_size(READER_STACK).spawn(move || read(&owned));
        let read = reader.map_err(|error| format!("make room for a thread that reads it: {error}"))?.join();
        let (program, looks_at) =
            read.unwrap_or_else(|_| Err("write it in a simpler way: the parser gave up".to_owned()))?;
        Ok(Self { text: text.to_owned(), program: Arc::new(program), looks_at })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What the expression comes to for `facts`.
    ///
    /// # Errors
    /// Why it comes to nothing, for the log: it names claims and types, and shows no value.
    pub(crate) fn evaluate(&self, facts: &Facts) -> Result<Value, String> {
        let mut context = Context::with_env(ENVIRONMENT.clone());
        for (name, value) in facts.variables().filter(|(name, _)| self.looks_at.contains(name)) {
            let members: HashMap<String, cel::Value> =
                value.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect();
            context.add_variable_from_value(name, members);
        }
        let value = self.program.execute(&context).map_err(|error| told(&error))?;
        from_cel(&value).ok_or_else(|| "it comes to something that is neither text, number, list nor object".to_owned())
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

type Read = Result<(Program, BTreeSet<&'static str>), String>;

fn read(text: &str) -> Read {
    let program = ENVIRONMENT.compile(text).map_err(|errors| {
        let first = errors.errors.first().map(|error| error.msg.clone()).unwrap_or_default();
        let first = first.lines().next().unwrap_or_default().to_owned();
        format!("correct the expression (CEL): {first}")
    })?;
    let mut survey = Survey::default();
    survey.visit(program.expression(), 0, 0)?;
    Ok((program, survey.looks_at))
}

/// A walk over an expression that finds what would never work, or work too long.
#[derive(Default)]
struct Survey {
    looks_at: BTreeSet<&'static str>,
    /// What loops call their elements, where the walk is.
    bound: Vec<String>,
}

impl Survey {
    fn visit(&mut self, expression: &IdedExpr, depth: usize, loops: usize) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err(format!("divide it: it has more than {DEPTH_MAX} steps within one another"));
        }
        let depth = depth + 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.visit(&select.operand, depth, loops),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, depth, loops)),
            Expr::Call(call) => {
                let operator = !call.func_name.starts_with(|first: char| first.is_ascii_alphabetic());
                if !operator && !FUNCTIONS.contains(&call.func_name.as_str()) {
                    return Err(format!(
                        "there is no function `{}`; known are {}",
                        call.func_name,
                        FUNCTIONS.join(", ")
                    ));
                }
                let target = call.target.iter().map(|target| &**target);
                target.chain(&call.args).try_for_each(|part| self.visit(part, depth, loops))
            }
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.visit(&entry.key, depth, loops)?;
                    self.visit(&entry.value, depth, loops)
                }
                EntryExpr::StructField(field) => self.visit(&field.value, depth, loops),
            }),
            Expr::Struct(_) => Err("leave out types of your own: there are none".to_owned()),
            Expr::Comprehension(inner) => {
                if loops > 0 {
                    return Err("put no all, exists, exists_one, filter or map into another".to_owned());
                }
                self.visit(&inner.iter_range, depth, loops + 1)?;
                self.bound.extend([inner.iter_var.clone(), inner.accu_var.clone()]);
                let parts = [&inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result];
                let visited = parts.into_iter().try_for_each(|part| self.visit(part, depth, loops + 1));
                self.bound.truncate(self.bound.len() - 2);
                visited
            }
        }
    }

    fn name(&mut self, name: &str) -> Result<(), String> {
        match VARIABLES.iter().find(|known| **known == name) {
            _ if self.bound.iter().any(|bound| bound == name) || TYPES.contains(&name) => Ok(()),
            Some(known) => {
                self.looks_at.insert(known);
                Ok(())
            }
            None => Err(format!("there is no `{name}`; an expression looks at {}", VARIABLES.join(", "))),
        }
    }
}

/// How many brackets are open at once.
fn brackets(text: &str) -> usize {
    let mut open = 0_usize;
    let depths = text.bytes().map(|byte| {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        open
    });
    depths.max().unwrap_or_default()
}

/// An error without the values that led to it: those are people's.
fn told(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(name) => format!("there is no `{name}`"),
        ExecutionError::UndeclaredReference(name) => format!("there is no `{name}`"),
        ExecutionError::NoSuchOverload(call) => {
            format!("`{}` does not take {}", call.function(), call.argument_types().join(" and "))
        }
        ExecutionError::UnsupportedBinaryOperator(..) | ExecutionError::ValuesNotComparable(..) => {
            "the values do not fit their operator".to_owned()
        }
        ExecutionError::IndexOutOfBounds(_) => "a list is shorter than the index".to_owned(),
        ExecutionError::UnexpectedType { got, want } => format!("there is {got} where {want} is wanted"),
        _ => "it cannot be worked out".to_owned(),
    }
}

fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(truth) => cel::Value::Bool(*truth),
        // One kind of whole number, so that `claims.level >= 3` compares two of a kind.
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => cel::Value::Int(whole),
            (None, Some(number)) => cel::Value::Float(number),
            (None, None) => cel::Value::Null,
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(members) => {
            let members: HashMap<String, cel::Value> =
                members.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect();
            cel::Value::Map(members.into())
        }
    }
}

fn from_cel(value: &cel::Value) -> Option<Value> {
    match value {
        cel::Value::Null => Some(Value::Null),
        cel::Value::Bool(truth) => Some((*truth).into()),
        cel::Value::Int(number) => Some((*number).into()),
        cel::Value::UInt(number) => Some((*number).into()),
        cel::Value::Float(number) => Some((*number).into()),
        cel::Value::String(text) => Some(text.as_str().into()),
        cel::Value::List(items) => items.iter().map(from_cel).collect(),
        cel::Value::Map(members) => {
            let members = members.map.iter().map(|(name, value)| Some((name.to_string(), from_cel(value)?)));
            members.collect::<Option<_>>().map(Value::Object)
        }
        _ => None,
    }
}

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What an expression looks at.
pub(super) const VARIABLES: [&str; 4] = ["claims", "session", "request", "params"];

/// What an expression calls, beside operators and the loops `all`, `exists`, `exists_one`, `filter`, `map`.
const FUNCTIONS: [&str; 10] =
    ["contains", "startsWith", "endsWith", "matches", "size", "string", "int", "double", "bool", "type"];

/// The types that `type` may be compared with.
const TYPES: [&str; 7] = ["string", "int", "double", "bool", "list", "map", "null_type"];

/// A rule that needs more than this is two rules, or belongs into the application.
const LENGTH_MAX: usize = 2000;

/// Brackets open at once: the parser's effort grows with them by more than their number.
const BRACKETS_MAX: usize = 12;

/// Steps within one another: each costs stack of a thread of the runtime.
const DEPTH_MAX: usize = 40;

/// Room for the deepest expression that the limits let through.
const READER_STACK: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        let object = |value: Value| value.as_object().cloned().unwrap_or_default();
        Facts {
            claims: object(json!({
                "sub": "alice", "email": "alice@example.test", "groups": ["staff", "admins"], "level": 3, "score": 0.5,
                "realm": { "roles": ["editor"] }, "https://example.test/role": "boss", "email_verified": true, "none": null,
            })),
            session: object(json!({ "provider": "oidc", "signed_in": true })),
            request: object(
                json!({ "method": "GET", "path": "/users/7", "query": { "a": ["1", "2"] }, "headers": {} }),
            ),
            params: object(json!({ "id": "7" })),
        }
    }

    #[test]
    fn expressions_come_to_what_they_say() {
        for (text, expected) in [
            (r#""staff" in claims.groups"#, json!(true)),
            (r#""other" in claims.groups"#, json!(false)),
            (r#"claims["https://example.test/role"] == "boss""#, json!(true)),
            (r#"claims.email.endsWith("@example.test") && claims.email_verified"#, json!(true)),
            (r#"claims.email.matches("^[a-z]+@example[.]test$")"#, json!(true)),
            (r#"claims.email.contains("lic") && claims.email.startsWith("a")"#, json!(true)),
            ("claims.level >= 3 && claims.level < 4 && claims.score < 1.0", json!(true)),
            ("has(claims.missing)", json!(false)),
            ("has(claims.missing) && claims.missing == 1", json!(false)),
            (r#"claims.groups.exists(group, group.startsWith("adm"))"#, json!(true)),
            (
                r#"claims.groups.all(group, group != "x") && claims.groups.exists_one(group, group == "staff")"#,
                json!(true),
            ),
            (r#"claims.groups.filter(group, group != "staff")"#, json!(["admins"])),
            (r#"claims.groups.map(group, "g-" + group)"#, json!(["g-staff", "g-admins"])),
            (r#""editor" in claims.realm.roles"#, json!(true)),
            (r#"request.method == "GET" ? true : "admins" in claims.groups"#, json!(true)),
            (r#""2" in request.query.a && size(request.query.a) == 2"#, json!(true)),
            ("params.id == string(7) && int(params.id) == 7", json!(true)),
            (r#"session.provider == "oidc" && session.signed_in"#, json!(true)),
            ("type(claims.groups) == list && double(claims.level) == 3.0", json!(true)),
            (r#"bool("true") && claims.none == null"#, json!(true)),
            (r#"{"a": [1, 2.5, "x", null]}"#, json!({ "a": [1, 2.5, "x", null] })),
        ] {
            let expression = Expression::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(expression.evaluate(&facts()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_worked_out_says_why_and_shows_no_value() {
        for (text, expected) in [
            ("claims.missing", "there is no `missing`"),
            ("claims.missing.deeper == 1", "there is no `missing`"),
            ("claims.groups[7]", "a list is shorter than the index"),
            ("claims.email > 1", "`_>_` does not take string and int"),
            ("claims.email + 1", "the values do not fit their operator"),
            (r#"claims.email.matches("(")"#, "it cannot be worked out"),
        ] {
            let told = Expression::parse(text).expect("an expression").evaluate(&facts()).expect_err(text);
            assert_eq!(told, expected, "{text}");
            assert!(!told.contains("alice"), "{told}");
        }
    }

    #[test]
    fn what_would_never_work_is_refused_with_a_remedy() {
        for (text, remedy) in [
            ("", "write an expression"),
            ("claims.groups ==", "correct the expression"),
            ("claim.groups", "there is no `claim`; an expression looks at claims"),
            ("group == 1", "there is no `group`"),
            ("claims.groups.exists(group, other == 1)", "there is no `other`"),
            ("claims.email.upper()", "there is no function `upper`"),
            ("claims.groups.exists(a, claims.groups.exists(b, a == b))", "put no all, exists"),
        ] {
            let fault = Expression::parse(text).expect_err(text);
            assert!(fault.starts_with(remedy), "{text}: {fault}");
        }
    }

    #[test]
    fn limits_at_their_edges() {
        let within = |fill: usize| format!("claims.sub == \"{}\"", "x".repeat(fill));
        let frame = within(0).len();
        assert!(Expression::parse(&within(LENGTH_MAX - frame)).is_ok());
        assert!(Expression::parse(&within(LENGTH_MAX - frame + 1)).is_err());
        let nested = |count: usize| format!("{}true{}", "(".repeat(count), ")".repeat(count));
        assert!(Expression::parse(&nested(BRACKETS_MAX)).is_ok());
        assert!(Expression::parse(&nested(BRACKETS_MAX + 1)).is_err());
        let chain = |count: usize| format!("1{}", "+1".repeat(count));
        let deepest = Expression::parse(&chain(DEPTH_MAX)).expect("an expression");
        assert_eq!(deepest.evaluate(&facts()), Ok(json!(DEPTH_MAX + 1)));
        assert!(Expression::parse(&chain(DEPTH_MAX + 1)).is_err());
    }

    /// Inputs that made the parser take gigabytes, or its thread overflow.
    #[test]
    fn no_expression_takes_the_parser_down() {
        let dense = "!!(!!!!!!(!!!!(((((!!(!!(!!!!((";
        for text in
            [format!("{}1", dense.repeat(4)), "[".repeat(500), "!".repeat(1990), "-".repeat(1999), "{".repeat(12)]
        {
            assert!(Expression::parse(&text).is_err(), "{text}");
        }
    }
}
