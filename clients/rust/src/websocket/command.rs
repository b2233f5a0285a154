//! Commands to the gateway, as text.

use serde::Serialize;

use super::topic::Subscription;

/// What a command asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    Subscribe {
        subscription: Subscription,
        /// Trades go on from here.
        cursor: Option<String>,
    },
    Unsubscribe(Subscription),
    List,
    Ping,
}

#[derive(Serialize)]
struct Wire<'a> {
    op: &'static str,
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    levels: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    symbols: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<&'a str>,
}

impl<'a> Wire<'a> {
    fn of(op: &'static str, id: u64, subscription: &'a Subscription) -> Wire<'a> {
        let Subscription { channel, symbols } = subscription;
        Wire { op, id, channel: Some(channel.name()), levels: channel.levels(), symbols: Some(symbols), cursor: None }
    }
}

impl Ask {
    /// The command with this id.
    pub(crate) fn encode(&self, id: u64) -> String {
        let bare = |op| Wire { op, id, channel: None, levels: None, symbols: None, cursor: None };
        match self {
            Ask::Subscribe { subscription, cursor } => {
                text(&Wire { cursor: cursor.as_deref(), ..Wire::of("subscribe", id, subscription) })
            }
            Ask::Unsubscribe(subscription) => text(&Wire::of("unsubscribe", id, subscription)),
            Ask::List => text(&bare("list")),
            Ask::Ping => text(&bare("ping")),
        }
    }
}

fn text(wire: &Wire<'_>) -> String {
    serde_json::to_string(wire).expect("texts and numbers always make JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::websocket::topic::{Channel, Levels};

    #[test]
    fn commands_as_the_contract_spells_them() {
        let depth = Subscription::new(Channel::Depth(Levels::Five), ["A\"B"]);
        let trades = Subscription::new(Channel::Trades, ["X:A", "B"]);
        let table = [
            (
                Ask::Subscribe { subscription: depth.clone(), cursor: None },
                r#"{"op":"subscribe","id":7,"channel":"depth","levels":5,"symbols":["A\"B"]}"#,
            ),
            (
                Ask::Subscribe { subscription: trades, cursor: Some("a.00000000000000ff.1".into()) },
                r#"{"op":"subscribe","id":7,"channel":"trades","symbols":["X:A","B"],"cursor":"a.00000000000000ff.1"}"#,
            ),
            (Ask::Unsubscribe(depth), r#"{"op":"unsubscribe","id":7,"channel":"depth","levels":5,"symbols":["A\"B"]}"#),
            (Ask::List, r#"{"op":"list","id":7}"#),
            (Ask::Ping, r#"{"op":"ping","id":7}"#),
        ];
        for (ask, want) in table {
            assert_eq!(ask.encode(7), want);
        }
    }
}
