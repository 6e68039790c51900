//! The last N flows of a range, where the server gives the first N.

use std::collections::VecDeque;

use palomar_proto::observer::GetFlowsResponse;
use palomar_proto::observer::get_flows_response::ResponseTypes;

/// Keeps the last responses. Only flows count toward the number, and only flows are dropped: that something was lost
/// stays worth knowing.
#[derive(Debug)]
pub struct Tail {
    number: u64,
    flows: u64,
    kept: VecDeque<GetFlowsResponse>,
}

impl Tail {
    /// For the last `number` flows.
    pub fn new(number: u64) -> Self {
        Self { number, flows: 0, kept: VecDeque::new() }
    }

    /// Adds a response, which may push an older flow out.
    pub fn push(&mut self, response: GetFlowsResponse) {
        self.flows += u64::from(is_flow(&response));
        self.kept.push_back(response);
        if self.flows > self.number {
            if let Some(oldest) = self.kept.iter().position(is_flow) {
                self.kept.remove(oldest);
            }
            self.flows -= 1;
        }
    }

    /// What was kept, in order.
    pub fn into_responses(self) -> impl Iterator<Item = GetFlowsResponse> {
        self.kept.into_iter()
    }
}

fn is_flow(response: &GetFlowsResponse) -> bool {
    matches!(response.response_types, Some(ResponseTypes::Flow(_)))
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
