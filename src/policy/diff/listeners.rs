//! Where the gateway and its administration may be reached, compared. Ports take no part.

use std::net::{IpAddr, SocketAddr};

use super::{Change, Kind, Part};
use crate::config::Config;
use crate::config::checked::{Admin, Listen};

pub fn changes(old: &Config, new: &Config) -> Vec<Change> {
    let listen = |config: &Config| -> Vec<IpAddr> {
        let all = config.listen.iter();
        all.map(|Listen { address }| address.ip()).collect()
    };
    let admin = |config: &Config| -> Vec<IpAddr> {
        // The socket is for the gateway's own user alone.
        let Admin { address, socket: _ } = &config.admin;
        address.iter().map(SocketAddr::ip).collect()
    };
    let of_both = [
        compare("listen", &listen(old), &listen(new)),
        compare("admin.address", &admin(old), &admin(new)),
    ];
    of_both.into_iter().flatten().collect()
}

fn compare(about: &str, old: &[IpAddr], new: &[IpAddr]) -> Option<Change> {
    let is_within = |few: &[IpAddr], many: &[IpAddr]| {
        let reaches = |one: &IpAddr| many.iter().any(|other| covers(*other, *one));
        few.iter().all(reaches)
    };
    let kind = match (is_within(new, old), is_within(old, new)) {
        (true, true) => return None,
        (true, false) => Kind::Tightened,
        (false, _) => Kind::Loosened,
    };
    let text = |all: &[IpAddr]| match all {
        [] => "nothing".to_owned(),
        all => all
            .iter()
            .map(IpAddr::to_string)
            .collect::<Vec<_>>()
            .join(" "),
    };
    let what = format!("{} → {}", text(old), text(new));
    Some(Change::new(kind, about, Part::Key, what))
}

/// Whoever reaches the second reaches the first.
fn covers(wide: IpAddr, narrow: IpAddr) -> bool {
    let takes_all = wide.is_unspecified() && wide.is_ipv4() == narrow.is_ipv4();
    wide == narrow || takes_all || narrow.is_loopback()
}
