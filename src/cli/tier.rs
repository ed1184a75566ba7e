//! `portcullis tier`: tiers of the store and their limit rules, also while the gateway runs on it.

use clap::ArgGroup;
use serde_json::json;

use super::told::{self, Told};
use super::user::UserError;
use crate::accounts::{By, RuleForm, TierForm, Users};
use crate::config::Config;

/// Entries that a list holds at most.
const LISTED: i64 = 10_000;

#[derive(Debug, clap::Subcommand)]
pub enum TierCommand {
    /// All tiers, those of gateway.yaml too
    List,
    /// Create a tier; a running gateway knows it within a second
    Add {
        /// 1 to 64 of A-Z a-z 0-9 - _ . but not . or ..
        name: String,
        #[command(flatten)]
        values: TierArgs,
    },
    /// Change a tier; what is not given stays
    #[command(group = something_of(&["rename", "rank", "rate", "burst"]))]
    Set {
        name: String,
        /// The new name, for a tier that no account has
        #[arg(long = "name", value_name = "NAME")]
        rename: Option<String>,
        #[command(flatten)]
        values: TierArgs,
    },
    /// Delete a tier that no account has, and its limit rules
    Delete { name: String },
    /// Limit rules of a tier, of gateway.yaml or not
    Limit {
        #[command(subcommand)]
        command: LimitCommand,
    },
}

#[derive(Debug, Default, clap::Args)]
pub struct TierArgs {
    /// What `min_tier` compares
    #[arg(long)]
    pub rank: Option<i64>,
    /// Such as 100/min, or unlimited
    #[arg(long)]
    pub rate: Option<String>,
    /// Requests that may come at once
    #[arg(long)]
    pub burst: Option<i64>,
}

#[derive(Debug, clap::Subcommand)]
pub enum LimitCommand {
    /// The limit rules of a tier
    List { tier: String },
    /// Add a rule: it replaces the route's limit of that name for the tier, or comes beside the others
    Add {
        tier: String,
        name: String,
        #[command(flatten)]
        values: RuleArgs,
    },
    /// Change a rule; what is not given stays
    #[command(group = something_of(&["name", "route", "path", "method", "limit", "period", "burst"]))]
    Set {
        tier: String,
        id: i64,
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        values: RuleArgs,
    },
    /// Delete a rule
    Delete { tier: String, id: i64 },
}

#[derive(Debug, Default, clap::Args)]
pub struct RuleArgs {
    /// A route of gateway.yaml, by its name
    #[arg(long, conflicts_with_all = ["path", "method"])]
    pub route: Option<String>,
    /// A path's template such as /users/{name}, whatever the route
    #[arg(long)]
    pub path: Option<String>,
    /// Of the path; without it every method
    #[arg(long)]
    pub method: Option<String>,
    /// Requests in a period
    #[arg(long)]
    pub limit: Option<i64>,
    /// Seconds
    #[arg(long)]
    pub period: Option<i64>,
    /// Requests that may come at once [default: the limit]
    #[arg(long)]
    pub burst: Option<i64>,
}

/// At least one of the arguments: a change of nothing is a mistake.
fn something_of(arguments: &'static [&'static str]) -> ArgGroup {
    ArgGroup::new("change")
        .args(arguments)
        .required(true)
        .multiple(true)
}

impl TierArgs {
    fn form(self, name: Option<String>) -> TierForm {
        TierForm {
            name,
            rank: self.rank,
            rate: self.rate.map(Some),
            burst: self.burst.map(Some),
        }
    }
}

impl RuleArgs {
    fn form(self, name: Option<String>) -> RuleForm {
        RuleForm {
            name,
            route: self.route.map(Some),
            path: self.path.map(Some),
            method: self.method.map(Some),
            limit: self.limit,
            period: self.period,
            burst: self.burst.map(Some),
            ..RuleForm::default()
        }
    }
}

/// Does what was asked and gives what to print.
pub async fn run(config: &Config, command: TierCommand) -> Result<Told, UserError> {
    let users = Users::open(config).await?;
    let by = By::command_line();
    match command {
        TierCommand::List => Ok(told::tiers(&users.tiers().await?)),
        TierCommand::Add { name, values } => {
            let tier = users.add_tier(&values.form(Some(name)), &by).await?;
            Ok(Told::new(
                format!("The tier {} was created.\n", tier.name),
                tier.to_json(),
            ))
        }
        TierCommand::Set {
            name,
            rename,
            values,
        } => {
            let form = values.form(rename);
            let tier = users.edit_tier(&name, &form, &by).await?;
            Ok(Told::new(
                format!("The tier {} was changed.\n", tier.name),
                tier.to_json(),
            ))
        }
        TierCommand::Delete { name } => {
            users.delete_tier(&name, &by).await?;
            let text = format!("The tier {name} was deleted.\n");
            Ok(Told::new(text, json!({ "deleted": name })))
        }
        TierCommand::Limit { command } => limit(&users, command, &by).await,
    }
}

async fn limit(users: &Users, command: LimitCommand, by: &By) -> Result<Told, UserError> {
    match command {
        LimitCommand::List { tier } => {
            let listed = users.rules(&tier, 0, LISTED).await?;
            Ok(told::rules(&listed.rules))
        }
        LimitCommand::Add { tier, name, values } => {
            let form = values.form(Some(name));
            let rule = users.add_rule(&tier, &form, by).await?;
            let text = format!("The rule {} of the tier {tier} was created.\n", rule.id);
            Ok(Told::new(text, rule.to_json()))
        }
        LimitCommand::Set {
            tier,
            id,
            name,
            values,
        } => {
            let form = values.form(name);
            let rule = users.edit_rule(&tier, id, &form, by).await?;
            let text = format!("The rule {id} of the tier {tier} was changed.\n");
            Ok(Told::new(text, rule.to_json()))
        }
        LimitCommand::Delete { tier, id } => {
            users.delete_rule(&tier, id, by).await?;
            let text = format!("The rule {id} of the tier {tier} was deleted.\n");
            Ok(Told::new(text, json!({ "deleted": id })))
        }
    }
}
