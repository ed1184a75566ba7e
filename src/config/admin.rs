//! Where a gateway that runs is asked, by a file that may not hold as it is now.

use std::path::Path;

use super::checked::Admin;
use super::decode::{Decode as _, Field};
use super::diagnose::{Findings, Report};
use super::file::File;
use super::raw::RawConfig;
use super::{environment, report, resolve, source, yaml};

/// Where a file wants administration to be served, though the rest of it may not hold.
///
/// # Errors
///
/// Everything that is wrong with it, when it does not say where; or why it cannot be read.
pub fn admin_of(path: &Path) -> Result<Admin, Report> {
    let file = File::read(path)?;
    let mut findings = Findings::default();
    let text = file.text()?;
    told(text, path, &mut findings).ok_or_else(|| report(findings, &source(text, path)))
}

/// The same of a file that is no YAML as a whole, such as one half written: by its section `admin` alone, or
/// where administration is when a file has none.
pub fn admin_of_part(path: &Path) -> Option<Admin> {
    let file = File::read(path).ok()?;
    let section = section(file.text().ok()?);
    told(&section, path, &mut Findings::default())
}

fn told(text: &str, path: &Path, findings: &mut Findings) -> Option<Admin> {
    let root = yaml::read(&source(text, path), &environment, findings)?;
    let raw = RawConfig::decode(&root, findings)?;
    let is_known = match &raw.admin {
        Field::Absent => true,
        Field::Invalid => false,
        Field::Given(at) => {
            let (address, socket) = (&at.value.address, &at.value.socket);
            !matches!(address, Field::Invalid) && !matches!(socket, Field::Invalid)
        }
    };
    let dir = path.parent().unwrap_or(Path::new(""));
    is_known.then(|| resolve::resolve(&raw, dir, findings).admin)
}

/// The lines of the top-level key `admin`, behind one that makes a mapping of none.
fn section(text: &str) -> String {
    let is_admin = |line: &&str| line.starts_with("admin:");
    let mut lines = text.lines().skip_while(|line| !is_admin(line));
    let first = lines.next().into_iter();
    let is_within = |line: &&str| !line.starts_with(|c: char| c.is_ascii_alphanumeric());
    let own = first.chain(lines.take_while(is_within));
    let own = ["version: 1"].into_iter().chain(own);
    own.flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::section;

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let block = "version: 1\nadmin:\n  # here\n  address: 127.0.0.1:1\n\nroutes:\n  - { na";
        let own = "version: 1\nadmin:\n  # here\n  address: 127.0.0.1:1\n\n";
        assert_eq!(section(block), own);
        let flow = "administer: x\nadmin: {\n  socket: s,\n}\nroutes: [";
        assert_eq!(section(flow), "version: 1\nadmin: {\n  socket: s,\n}\n");
        assert_eq!(section("routes: ["), "version: 1\n");
        assert_eq!(section(""), "version: 1\n");
    }
}
