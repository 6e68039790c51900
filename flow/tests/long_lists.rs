//! Long lists of filters.

use palomar_flow::filter::{Filters, MAX_FILTERS, MAX_REGEXPS, MAX_VALUES};
use palomar_proto::flow::FlowFilter;

#[track_caller]
fn refused(whitelist: &[FlowFilter], blacklist: &[FlowFilter]) -> String {
    Filters::compile(whitelist, blacklist).expect_err("too much").to_string()
}

#[test]
fn what_fits_is_taken_and_more_is_refused_with_the_number_and_the_limit() {
    let empty = |count| vec![FlowFilter::default(); count];
    Filters::compile(&empty(1_000), &empty(MAX_FILTERS - 1_000)).unwrap();
    assert_eq!(
        refused(&empty(1_000), &empty(MAX_FILTERS - 999)),
        "too many filters: 2049 in both lists together, of at most 2048; put several values into one filter"
    );

    let values = |count| vec![FlowFilter { source_identity: vec![7; count], ..FlowFilter::default() }];
    Filters::compile(&values(MAX_VALUES - 10), &values(10)).unwrap();
    assert_eq!(
        refused(&values(MAX_VALUES - 10), &values(11)),
        "too many values in filters: 65537 in all fields of both lists together, of at most 65536"
    );

    let paths = |count| FlowFilter { http_path: vec!["^/a".into(); count], ..FlowFilter::default() };
    let both = |count| vec![FlowFilter { dns_query: vec!["b$".into(); 10], ..paths(count - 10) }];
    Filters::compile(&both(MAX_REGEXPS), &[]).unwrap();
    assert_eq!(
        refused(&both(MAX_REGEXPS + 1), &[]),
        "too many regular expressions in filters: 65 in dns_query, http_path and http_url together, of at most 64; \
         join them with |"
    );
}

#[test]
fn an_expression_that_would_take_much_memory_is_refused() {
    let path = "(((a{100}){100}){100})";
    let filter = FlowFilter { http_path: vec![path.into()], ..FlowFilter::default() };
    assert_eq!(
        refused(&[filter], &[]),
        format!("invalid http path filter: {path}: error parsing regexp: expression too large: `{path}`")
    );
}
