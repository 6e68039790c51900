//! The last N of a range, where the server gives the first N.

use std::collections::VecDeque;

use palomar_proto::observer::get_flows_response::ResponseTypes;
use palomar_proto::observer::{GetAgentEventsResponse, GetDebugEventsResponse, GetFlowsResponse};

/// A response that may count toward a number.
pub trait Counted {
    /// Whether it does. One that does not is worth knowing whatever the number.
    fn counts(&self) -> bool;
}

/// Keeps the last responses. Only those that count are dropped: that something was lost stays worth knowing.
#[derive(Debug)]
pub struct Tail<T> {
    number: u64,
    counted: u64,
    kept: VecDeque<T>,
}

impl<T: Counted> Tail<T> {
    /// For the last `number`.
    pub const fn new(number: u64) -> Self {
        Self { number, counted: 0, kept: VecDeque::new() }
    }

    /// Adds a response, which may push an older one out.
    pub fn push(&mut self, response: T) {
        self.counted += u64::from(response.counts());
        self.kept.push_back(response);
        if self.counted > self.number {
            if let Some(oldest) = self.kept.iter().position(T::counts) {
                self.kept.remove(oldest);
            }
            self.counted -= 1;
        }
    }

    /// What was kept, in order.
    pub fn into_responses(self) -> impl Iterator<Item = T> {
        self.kept.into_iter()
    }
}

impl Counted for GetFlowsResponse {
    fn counts(&self) -> bool {
        matches!(self.response_types, Some(ResponseTypes::Flow(_)))
    }
}

impl Counted for GetAgentEventsResponse {
    fn counts(&self) -> bool {
        true
    }
}

impl Counted for GetDebugEventsResponse {
    fn counts(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use palomar_proto::flow::{Flow, LostEvent};

    use super::*;

    fn response(node_name: &str, content: ResponseTypes) -> GetFlowsResponse {
        GetFlowsResponse { node_name: node_name.to_owned(), time: None, response_types: Some(content) }
    }

    #[test]
    fn the_last_flows_stay_and_losses_as_well() {
        let mut tail = Tail::new(2);
        tail.push(response("1", ResponseTypes::Flow(Flow::default())));
        tail.push(response("lost", ResponseTypes::LostEvents(LostEvent::default())));
        tail.push(response("2", ResponseTypes::Flow(Flow::default())));
        tail.push(response("3", ResponseTypes::Flow(Flow::default())));
        let names: Vec<String> = tail.into_responses().map(|response| response.node_name).collect();
        assert_eq!(names, ["lost", "2", "3"]);
    }
}
