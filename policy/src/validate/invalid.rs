//! What is wrong with a policy, and where.

use std::fmt;

use super::label_syntax;

/// A policy that Kubernetes would refuse, or that says less than it seems to. Prints a line for each fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.faults))]
pub struct InvalidPolicy {
    /// All that is wrong with it, in the order of the fields; never empty.
    pub faults: Vec<Fault>,
}

/// One thing that is wrong with a policy. Prints as `spec.podSelector: …`; text from the policy is quoted and escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub field: FieldPath,
    /// Why.
    pub reason: Reason,
}

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Faults(pub(super) Vec<Fault>);

/// The way from the object to a field. Prints as `spec.ingress[0].from[1].ipBlock`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FieldPath {
    segments: Vec<Segment>,
}

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The field of an object.
    Key(&'static str),
    /// The key of a label as it was written, be it one or not.
    Label(String),
    /// The item of a list, from 0.
    Index(usize),
}

/// Why a field was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A required field is absent.
    #[error("is required")]
    Missing,
    /// Absent is never taken for empty, which would select every pod. The API server takes it so; in a file it is more
    /// likely a slip.
    #[error("is required; to select every pod of the namespace write podSelector: {{}}")]
    MissingPodSelector,
    /// A policy type that is none.
    #[error("policy type {written:?} is unknown; choose from: Ingress, Egress")]
    UnknownPolicyType {
        /// What was written.
        written: String,
    },
    /// There are but two.
    #[error("{count} policy types are too many; choose at most two from: Ingress, Egress")]
    TooManyPolicyTypes {
        /// How many were written.
        count: usize,
    },
    /// `{}` as a peer.
    #[error(
        "the peer is empty; choose from: podSelector, namespaceSelector, both of these, ipBlock; for every peer leave the list out"
    )]
    EmptyPeer,
    /// A range of addresses and a selector.
    #[error("ipBlock stands together with a selector; write them as two peers")]
    BlockWithSelector,
    /// Not a range of addresses.
    #[error("{written:?} is not a CIDR, such as 10.0.0.0/8 or 2001:db8::/32")]
    NotACidr {
        /// What was written.
        written: String,
    },
    /// IPv4 dressed as IPv6.
    #[error("{written:?} is IPv4 mapped into IPv6; write the IPv4 range")]
    MappedCidr {
        /// What was written.
        written: String,
    },
    /// An exception that is not inside its range, or is all of it.
    #[error("{written:?} does not lie strictly inside {cidr}")]
    ExceptOutside {
        /// What was written.
        written: String,
        /// The range.
        cidr: String,
    },
    /// Not a protocol of ports.
    #[error("protocol {written:?} is unknown; choose from: TCP, UDP, SCTP")]
    UnknownProtocol {
        /// What was written.
        written: String,
    },
    /// Not a port.
    #[error("port {written} is out of range; choose from: 1 to 65535")]
    PortOutOfRange {
        /// What was written.
        written: i64,
    },
    /// A number in quotes.
    #[error("{written:?} is text; write the port number without quotes")]
    QuotedPort {
        /// What was written.
        written: String,
    },
    /// Not the name of a port.
    #[error("{written:?} is not the name of a port: {problem}")]
    PortName {
        /// What was written.
        written: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// An end for a name.
    #[error("cannot end the range that named port {name:?} begins; write the port as a number")]
    EndOfName {
        /// The name.
        name: String,
    },
    /// An end without a beginning.
    #[error("needs a port to begin the range; add port")]
    EndWithoutPort,
    /// An end before the beginning.
    #[error("{end} is less than port {port}")]
    EndBeforePort {
        /// `endPort`.
        end: u16,
        /// `port`.
        port: u16,
    },
    /// An operator that is none.
    #[error("operator {written:?} is unknown; choose from: In, NotIn, Exists, DoesNotExist")]
    UnknownOperator {
        /// What was written.
        written: String,
    },
    /// `In` of nothing.
    #[error("operator {operator} needs at least one value")]
    ValuesMissing {
        /// The operator.
        operator: &'static str,
    },
    /// `Exists` of something.
    #[error("operator {operator} takes no values; choose from: In, NotIn to compare values")]
    ValuesForbidden {
        /// The operator.
        operator: &'static str,
    },
    /// Not the key of a label.
    #[error("{written:?} is not a label key: {problem}")]
    LabelKey {
        /// What was written.
        written: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Not the value of a label.
    #[error("{written:?} is not a label value: {problem}")]
    LabelValue {
        /// What was written.
        written: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, reason } = self;
        write!(f, "{field}: {reason}")
    }
}

fn lines(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}

// === impl Faults ===

impl Faults {
    /// Notes a fault. Gives `None`, which is what is left of the field.
    pub(super) fn reject<T>(&mut self, field: &FieldPath, reason: Reason) -> Option<T> {
        self.0.push(Fault { field: field.clone(), reason });
        None
    }
}

// === impl Reason ===

impl Reason {
    /// Whether something is missing: it may be there and be misspelt, for one who knows of unknown fields.
    pub const fn is_absence(&self) -> bool {
        match self {
            Self::Missing
            | Self::MissingPodSelector
            | Self::EmptyPeer
            | Self::EndWithoutPort
            | Self::ValuesMissing { .. } => true,
            Self::UnknownPolicyType { .. }
            | Self::TooManyPolicyTypes { .. }
            | Self::BlockWithSelector
            | Self::NotACidr { .. }
            | Self::MappedCidr { .. }
            | Self::ExceptOutside { .. }
            | Self::UnknownProtocol { .. }
            | Self::PortOutOfRange { .. }
            | Self::QuotedPort { .. }
            | Self::PortName { .. }
            | Self::EndOfName { .. }
            | Self::EndBeforePort { .. }
            | Self::UnknownOperator { .. }
            | Self::ValuesForbidden { .. }
            | Self::LabelKey { .. }
            | Self::LabelValue { .. } => false,
        }
    }
}

// === impl FieldPath ===

impl FieldPath {
    pub(super) fn root(key: &'static str) -> Self {
        Self { segments: vec![Segment::Key(key)] }
    }

    pub(super) fn key(&self, key: &'static str) -> Self {
        self.then(Segment::Key(key))
    }

    pub(super) fn label(&self, key: &str) -> Self {
        self.then(Segment::Label(key.to_owned()))
    }

    pub(super) fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    /// The steps from the object to the field.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn then(&self, segment: Segment) -> Self {
        let mut segments = self.segments.clone();
        segments.push(segment);
        Self { segments }
    }
}

/// A path of these steps; one without any is that of the object itself, and prints as nothing.
impl FromIterator<Segment> for FieldPath {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self { segments: segments.into_iter().collect() }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                // One that is no key is quoted by the reason.
                Segment::Label(key) if label_syntax::is_key(key) => write!(f, ".{key}")?,
                Segment::Label(_) => {}
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
