//! Flow filters, and the rim between typed flows and protobuf
