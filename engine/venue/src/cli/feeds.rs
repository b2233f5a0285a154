//! `--feed` of `ticklane-venue feeds`: one feed as a line of settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use venue::dse::Channel;
use venue::pace::Pace;

/// Where a feed's messages come from, as on the command line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SourceSpec {
    Market,
    Dse(Channel),
    File(PathBuf),
}

/// `NAME:PROTOCOL[,KEY=VALUE..]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FeedSpec {
    pub(crate) name: String,
    pub(crate) is_mold: bool,
    pub(crate) source: SourceSpec,
    /// If not given, made from the name.
    pub(crate) session: Option<String>,
    pub(crate) speed: Option<Pace>,
    pub(crate) heartbeat_ms: Option<u64>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) user: Option<(String, String)>,
    pub(crate) lines: [Option<SocketAddr>; 2],
    pub(crate) interface: Ipv4Addr,
    pub(crate) ttl: u32,
    pub(crate) rerequest: Option<SocketAddr>,
    pub(crate) glimpse: Option<SocketAddr>,
    pub(crate) max_request: Option<u16>,
    pub(crate) end_repeats: Option<u32>,
    pub(crate) packet_bytes: Option<usize>,
    pub(crate) packet_messages: Option<u16>,
    pub(crate) linger_us: Option<u64>,
    pub(crate) max_rate: Option<u32>,
}

impl FromStr for FeedSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (head, rest) = text.split_once(',').unwrap_or((text, ""));
        let (name, protocol) =
            head.split_once(':').ok_or_else(|| format!("{text:?} is no NAME:PROTOCOL,KEY=VALUE.."))?;
        let is_name =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name {
            return Err(format!("{name:?} is no name of letters, digits, '-', '_' and '.'"));
        }
        let is_mold = match protocol {
            "soupbintcp" => false,
            "moldudp64" => true,
            _ => return Err(format!("{protocol:?} is neither soupbintcp nor moldudp64")),
        };
        let mut spec = Self::new(name, is_mold);
        for setting in rest.split(',').filter(|setting| !setting.is_empty()) {
            let (key, value) = setting.split_once('=').ok_or_else(|| format!("{setting:?} is no KEY=VALUE"))?;
            spec.set(key, value)?;
        }
        match (is_mold, spec.lines[0]) {
            (true, None) => Err(format!("feed {name}: a moldudp64 feed needs a=ADDRESS, where line A goes")),
            _ => Ok(spec),
        }
    }
}

impl FeedSpec {
    fn new(name: &str, is_mold: bool) -> Self {
        Self {
            name: name.into(),
            is_mold,
            source: SourceSpec::Market,
            session: None,
            speed: None,
            heartbeat_ms: None,
            listen: None,
            user: None,
            lines: [None; 2],
            interface: Ipv4Addr::LOCALHOST,
            ttl: 0,
            rerequest: None,
            glimpse: None,
            max_request: None,
            end_repeats: None,
            packet_bytes: None,
            packet_messages: None,
            linger_us: None,
            max_rate: None,
        }
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        match (key, self.is_mold) {
            ("source", _) => self.source = source(value),
            ("session", _) => self.session = Some(value.into()),
            ("speed", _) => self.speed = Some(value.parse().map_err(|error| format!("{error}"))?),
            ("heartbeat-ms", _) => self.heartbeat_ms = Some(parse(key, value)?),
            ("listen", false) => self.listen = Some(parse(key, value)?),
            ("user", false) => {
                let (user, password) = value.split_once(':').ok_or_else(|| format!("{value:?} is no USER:PASSWORD"))?;
                self.user = Some((user.into(), password.into()));
            }
            ("a", true) => self.lines[0] = Some(parse(key, value)?),
            ("b", true) => self.lines[1] = Some(parse(key, value)?),
            ("interface", true) => self.interface = parse(key, value)?,
            ("ttl", true) => self.ttl = parse(key, value)?,
            ("rerequest", true) => self.rerequest = Some(parse(key, value)?),
            ("glimpse", true) => self.glimpse = Some(parse(key, value)?),
            ("max-request", true) => self.max_request = Some(parse(key, value)?),
            ("end-repeats", true) => self.end_repeats = Some(parse(key, value)?),
            ("packet-bytes", true) => self.packet_bytes = Some(parse(key, value)?),
            ("packet-messages", true) => self.packet_messages = Some(parse(key, value)?),
            ("linger-us", true) => self.linger_us = Some(parse(key, value)?),
            ("max-rate", true) => self.max_rate = Some(parse(key, value)?),
            _ => return Err(format!("feed {}: a feed of this protocol has no setting {key:?}", self.name)),
        }
        Ok(())
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(key: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|error| format!("{key}={value}: {error}"))
}

fn source(value: &str) -> SourceSpec {
    match value {
        "market" => SourceSpec::Market,
        "dse" | "dse-marketfeed" => SourceSpec::Dse(Channel::Market),
        "dse-index" => SourceSpec::Dse(Channel::Index),
        "dse-news" => SourceSpec::Dse(Channel::News),
        path => SourceSpec::File(path.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_are_parsed() {
        let soup: FeedSpec =
            "idx:soupbintcp,source=dse-index,listen=127.0.0.1:0,user=u:p,session=S1,speed=max".parse().expect("a feed");
        assert_eq!(
            soup,
            FeedSpec {
                source: SourceSpec::Dse(Channel::Index),
                listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
                user: Some(("u".into(), "p".into())),
                session: Some("S1".into()),
                speed: Some(Pace::Max),
                ..FeedSpec::new("idx", false)
            }
        );
        let mold: FeedSpec =
            "nq:moldudp64,a=239.1.1.1:5000,b=127.0.0.1:5001,ttl=1,packet-messages=1,source=/tmp/day.itch"
                .parse()
                .expect("a feed");
        assert_eq!(
            mold,
            FeedSpec {
                source: SourceSpec::File("/tmp/day.itch".into()),
                lines: [
                    Some(SocketAddr::from(([239, 1, 1, 1], 5_000))),
                    Some(SocketAddr::from(([127, 0, 0, 1], 5_001)))
                ],
                ttl: 1,
                packet_messages: Some(1),
                ..FeedSpec::new("nq", true)
            }
        );
    }

    #[test]
    fn errors_say_what_is_wanted() {
        let table: &[(&str, &str)] = &[
            ("x", "is no NAME:PROTOCOL"),
            (":soupbintcp", "is no name of letters"),
            ("x:tcp", "neither soupbintcp nor moldudp64"),
            ("x:moldudp64", "needs a=ADDRESS"),
            ("x:soupbintcp,listen", "is no KEY=VALUE"),
            ("x:soupbintcp,listen=here", "listen=here: invalid socket address"),
            ("x:soupbintcp,a=127.0.0.1:1", "no setting \"a\""),
            ("x:soupbintcp,user=u", "is no USER:PASSWORD"),
        ];
        for (text, want) in table {
            let got = text.parse::<FeedSpec>().expect_err(text);
            assert!(got.contains(want), "case {text}: {got}");
        }
    }
}
