//! Networks that feeds may be in, and addresses as the config writes them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{ConfigError, refuse};

/// Networks that may be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowList(Vec<(IpAddr, u8)>);

impl AllowList {
    pub(super) fn parse(texts: &[String]) -> Result<AllowList, ConfigError> {
        let network = |text: &String| {
            let (address, prefix) = text.split_once('/')?;
            let address: IpAddr = address.parse().ok()?;
            let bits = if address.is_ipv4() { 32 } else { 128 };
            let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= bits)?;
            Some((address, prefix))
        };
        let mut networks = Vec::new();
        for text in texts {
            match network(text) {
                Some(parsed) => networks.push(parsed),
                None => return refuse("feeds.allow", format!("{text:?}"), "networks such as \"127.0.0.0/8\""),
            }
        }
        Ok(AllowList(networks))
    }

    /// Whether `address` lies in one of the networks.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.0.iter().any(|(network, prefix)| match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(*prefix)).unwrap_or(0);
                (u32::from(*network) ^ u32::from(address)) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(*prefix)).unwrap_or(0);
                (u128::from(*network) ^ u128::from(address)) & mask == 0
            }
            _ => false,
        })
    }
}

/// One line of a datagram feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LinePlan {
    /// Group or own address, and port.
    pub(crate) address: SocketAddr,
    /// Interface to join the group on.
    pub(crate) interface: Option<Ipv4Addr>,
}

impl LinePlan {
    /// Whether two lines would take each other's datagrams: the same port of the same address, on the same interface where
    /// one is named.
    pub(crate) fn clashes(&self, other: &LinePlan) -> bool {
        let apart = matches!((self.interface, other.interface), (Some(a), Some(b)) if a != b);
        self.address == other.address && !apart
    }
}

impl std::fmt::Display for LinePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)?;
        self.interface.map_or(Ok(()), |interface| write!(f, " on {interface}"))
    }
}

/// Checks `host:port` texts.
pub(super) fn check_addresses(field: &str, addresses: &[String]) -> Result<(), ConfigError> {
    for address in addresses {
        let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>()));
        if !matches!(port, Some(Ok(1..))) {
            return refuse(field, format!("{address:?}"), "\"host:port\" with a port from 1 to 65535");
        }
    }
    Ok(())
}

/// A line: a literal address, with an interface only where it is a group.
pub(super) fn line(field: &str, config: &super::feed::LineConfig) -> Result<LinePlan, ConfigError> {
    let Some(address) = config.address.parse::<SocketAddr>().ok().filter(|address| address.port() > 0) else {
        return refuse(
            field,
            format!("{:?}", config.address),
            "\"address:port\" of a group or of this host, in digits",
        );
    };
    let group = address.ip().is_multicast();
    if group && address.is_ipv6() {
        return refuse(field, address, "an IPv4 group: groups of IPv6 are not taken");
    }
    let interface = match &config.interface {
        None => None,
        Some(text) => match text.parse::<Ipv4Addr>() {
            Ok(interface) if group => Some(interface),
            Ok(_) => return refuse(field, format!("interface {text:?}"), "an interface only where a group is joined"),
            Err(_) => return refuse(field, format!("interface {text:?}"), "the IPv4 address of an interface"),
        },
    };
    Ok(LinePlan { address, interface })
}
