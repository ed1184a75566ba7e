//! Sets of addresses, as networks.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// A set of networks; the time to look an address up hardly depends on how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    pub fn contains(&self, address: IpAddr) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let address = address.to_canonical();
        let behind = self.0.partition_point(|net| net.network() <= address);
        let nearest = behind.checked_sub(1).map(|at| &self.0[at]);
        nearest.is_some_and(|net| net.contains(&address))
    }

    /// Whether it has every address of a network.
    pub fn covers(&self, network: &IpNet) -> bool {
        let network = canonical(*network);
        let mut around = self.around(&network);
        around.any(|net| net.contains(&network))
    }

    /// Whether it has any address of a network.
    pub fn meets(&self, network: &IpNet) -> bool {
        let network = canonical(*network);
        let mut around = self.around(&network);
        around.any(|net| net.contains(&network) || network.contains(net))
    }

    /// The last that begins no later, and the one behind it: of two networks that meet, one holds the other.
    fn around(&self, network: &IpNet) -> impl Iterator<Item = &IpNet> {
        let first = network.network();
        let behind = self.0.partition_point(|net| net.network() <= first);
        let nearest = behind.checked_sub(1).into_iter().chain([behind]);
        nearest.filter_map(|at| self.0.get(at))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are all of IPv4 or all of IPv6, in one piece or together.
    pub fn of_everybody(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter().filter(|network| network.prefix_len() == 0)
    }

    /// Those that lie within others or make up a larger one are not told apart.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(all: I) -> Self {
        let all: Vec<IpNet> = all.into_iter().map(canonical).collect();
        // Sorted, and none of them within another.
        let mut networks = IpNet::aggregate(&all);
        networks.sort();
        Networks(networks)
    }
}

/// A network of IPv4 addresses that are written as IPv6 ones (RFC 4291, section 2.5.5.2) as what it is:
/// a client's address never has that form.
pub(super) fn canonical(network: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpAddr::V4(address) = network.network().to_canonical() else {
        return network;
    };
    let length = network.prefix_len().checked_sub(MAPPED);
    match (network, length) {
        (IpNet::V6(_), Some(length)) => Ipv4Net::new(address, length).map_or(network, IpNet::V4),
        _ => network,
    }
}

/// From which addresses a route may be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressRules {
    /// Empty: from everywhere.
    pub allow: Networks,
    /// Comes before `allow`.
    pub deny: Networks,
}

impl AddressRules {
    pub fn admits(&self, address: IpAddr) -> bool {
        !self.deny.contains(address) && (self.allow.is_empty() || self.allow.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(list: &[&str]) -> Networks {
        list.iter()
            .map(|text| text.parse::<IpNet>().unwrap())
            .collect()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ipv4_is_ipv4_however_it_is_written() {
        let set = networks(&["10.0.0.0/8", "::ffff:192.0.2.0/120", "2001:db8::/32"]);
        for inside in ["10.1.2.3", "::ffff:10.1.2.3", "192.0.2.7", "2001:db8::1"] {
            assert!(set.contains(address(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "192.0.3.0", "2001:db9::1", "::10.1.2.3", "::"] {
            assert!(!set.contains(address(outside)), "{outside}");
        }
        // All of IPv6 is not all of IPv4.
        assert!(!networks(&["::/0"]).contains(address("::ffff:10.0.0.1")));
        assert!(networks(&["0.0.0.0/0"]).contains(address("::ffff:10.0.0.1")));
        assert!(!networks(&[]).contains(address("10.0.0.1")));
    }

    #[test]
    fn deny_comes_before_allow_and_no_allow_is_everywhere() {
        let rules = |allow: &[&str], deny: &[&str]| AddressRules {
            allow: networks(allow),
            deny: networks(deny),
        };
        let both = rules(&["10.0.0.0/8"], &["10.9.0.0/16"]);
        let admitted = ["10.1.0.1", "10.9.0.1", "192.0.2.1"].map(|text| both.admits(address(text)));
        assert_eq!(admitted, [true, false, false]);
        let only_deny = rules(&[], &["10.9.0.0/16"]);
        assert!(only_deny.admits(address("192.0.2.1")) && !only_deny.admits(address("10.9.1.1")));
        assert!(rules(&[], &[]).admits(address("::1")));
    }

    fn any_network() -> impl Strategy<Value = IpNet> {
        // Few enough addresses that networks meet.
        let v4 = (0..64_u32, 24..=32_u8).prop_map(|(last, length)| {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 | (last * 4));
            IpNet::from(Ipv4Net::new(address, length).unwrap().trunc())
        });
        let v6 = (0..64_u128, 120..=128_u8).prop_map(|(last, length)| {
            let address = std::net::Ipv6Addr::from_bits(last * 4);
            IpNet::from(ipnet::Ipv6Net::new(address, length).unwrap().trunc())
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn an_address_is_found_where_one_of_the_networks_has_it(
            all in prop::collection::vec(any_network(), 0..20),
            last in 0..256_u32,
        ) {
            let set: Networks = all.iter().copied().collect();
            let v4 = IpAddr::from(std::net::Ipv4Addr::from_bits(0x0a00_0000 | last));
            let v6 = IpAddr::from(std::net::Ipv6Addr::from_bits(last.into()));
            for address in [v4, v6] {
                let has = all.iter().any(|net| net.contains(&address));
                prop_assert_eq!(set.contains(address), has);
            }
        }

        #[test]
        fn networks_are_covered_and_met_as_their_addresses_are(
            all in prop::collection::vec(any_network(), 0..20),
            network in any_network(),
        ) {
            let set: Networks = all.into_iter().collect();
            let addresses: Vec<IpAddr> = match network {
                IpNet::V4(net) => net.hosts().chain([net.network(), net.broadcast()]).map(IpAddr::V4).collect(),
                IpNet::V6(net) => net.hosts().map(IpAddr::V6).collect(),
            };
            prop_assert_eq!(set.covers(&network), addresses.iter().all(|at| set.contains(*at)));
            prop_assert_eq!(set.meets(&network), addresses.iter().any(|at| set.contains(*at)));
        }
    }
}
