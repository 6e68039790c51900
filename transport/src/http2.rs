//! HTTP/2 sizes of both ends. The protocol's own defaults (64 KiB windows, 16 KiB frames) halve the rate of
//! a stream of flows.

/// Bytes that may be under way on one stream before the reader has to take some.
pub const STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// Bytes that may be under way on one connection, all its streams together. More than one stream's, so that
/// a stream nobody reads does not hold up the others at once.
pub const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// The same of requests, which are small: what a client may send that nobody reads yet.
pub const REQUEST_WINDOW_BYTES: u32 = 64 << 10;

/// The same, of all requests of one connection.
pub const REQUESTS_WINDOW_BYTES: u32 = 1 << 20;

/// Largest frame that we take.
pub const MAX_FRAME_BYTES: u32 = 1 << 20;

/// Largest message a client should take (`max_decoding_message_size`): tonic's 4 MiB are too little for the
/// lists of a large cluster. A larger one fails the call with `OUT_OF_RANGE`.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
