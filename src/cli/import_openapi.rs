//! `portcullis import openapi`: routes made from an upstream's OpenAPI document.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::output::{FAILED, bad_usage, print, refuse, say};
use crate::config::{self, Report, counted, text};
use crate::policy::import_openapi;

#[derive(Debug, clap::Subcommand)]
pub enum ImportVerb {
    /// Print a `routes:` section: what the document secures becomes `auth: required`, the rest is for you to decide
    Openapi(OpenapiArgs),
}

#[derive(Debug, clap::Args)]
pub struct OpenapiArgs {
    /// The document, in JSON or YAML; `-` is standard input
    file: PathBuf,
    /// The upstream that the routes go to
    #[arg(long, default_value = "app")]
    upstream: String,
}

pub fn run(args: &OpenapiArgs) -> i32 {
    if !text::is_name(&args.upstream) {
        return bad_usage("an upstream's name has 1 to 64 of `A-Z a-z 0-9 - _ .`");
    }
    let document = match read(&args.file) {
        Ok(document) => document,
        Err(report) => return refuse(&report),
    };
    let imported = match import_openapi(&document, &args.upstream) {
        Ok(imported) => imported,
        Err(error) => {
            let text = format!("{}: error: {error}\n", args.file.display());
            say(&text::visible(&text));
            return FAILED;
        }
    };
    let open = imported.open_questions();
    let code = print(&imported.to_string());
    if open > 0 {
        let open = counted(open, "operation");
        say(&format!("{open} not decided: see the comments\n"));
    }
    code
}

fn read(path: &Path) -> Result<serde_json::Value, Report> {
    let refuse =
        |error: io::Error| Report::of_file(path, format!("cannot read the file: {error}"), "");
    let input: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(io::stdin().lock()),
        false => Box::new(File::open(path).map_err(refuse)?),
    };
    config::document(input, path)
}
