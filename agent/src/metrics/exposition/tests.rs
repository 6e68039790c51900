use super::*;

/// Every kind of family, with values that would break out of their quotes.
fn text(format: Format) -> String {
    let mut out = Exposition::new(format);
    out.counter("hubble_drop", "Why \"dropped\", and\nwhere: C:\\here.")
        .sample(&Labels::default().with("reason", "POLICY_DENIED").with("protocol", "TCP"), u64::MAX);
    let mut family = out.counter("process_cpu_seconds", "Time.");
    family.sample(&Labels::NONE, 12.25);
    let mut family = out.gauge("process_resident_memory_bytes", "Memory.");
    family.sample(&Labels::NONE, 4_096_u64);
    let mut family = out.gauge("palomar_empty", "Without samples.");
    let _ = &mut family;
    out.info("palomar_build", "What runs.", &Labels::default().with("version", "0.1.0"));
    let hostile = Labels::default().with("source", "a\"} 1\nb\\n{\u{1b}[31m\r é");
    out.gauge("palomar_hostile", "Escaped.").sample(&hostile, 1.0);
    let mut family = out.histogram("hubble_metrics_http_handler_request_duration_seconds", "Latency.");
    family.series(&Labels::default().with("code", "200"), &[("0.005", 1), ("1.0", 3)], 4, 7.5);
    out.finish()
}

#[test]
fn prometheus_text_is_the_golden_one() {
    assert_eq!(text(Format::Prometheus), PROMETHEUS);
}

#[test]
fn openmetrics_text_is_the_golden_one() {
    assert_eq!(text(Format::OpenMetrics), OPENMETRICS);
}

#[test]
fn values_that_are_no_numbers_are_told_as_the_formats_do() {
    for (value, expected) in
        [(f64::INFINITY, "+Inf"), (f64::NEG_INFINITY, "-Inf"), (f64::NAN, "NaN"), (0.1, "0.1")]
    {
        assert_eq!(Number::from(value).to_string(), expected);
    }
}

const PROMETHEUS: &str = "\
# HELP hubble_drop_total Why \"dropped\", and\\nwhere: C:\\\\here.
# TYPE hubble_drop_total counter
hubble_drop_total{reason=\"POLICY_DENIED\",protocol=\"TCP\"} 18446744073709551615
# HELP process_cpu_seconds_total Time.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.25
# HELP process_resident_memory_bytes Memory.
# TYPE process_resident_memory_bytes gauge
process_resident_memory_bytes 4096
# HELP palomar_empty Without samples.
# TYPE palomar_empty gauge
# HELP palomar_build_info What runs.
# TYPE palomar_build_info gauge
palomar_build_info{version=\"0.1.0\"} 1
# HELP palomar_hostile Escaped.
# TYPE palomar_hostile gauge
palomar_hostile{source=\"a\\\"} 1\\nb\\\\n{\u{1b}[31m\r é\"} 1
# HELP hubble_metrics_http_handler_request_duration_seconds Latency.
# TYPE hubble_metrics_http_handler_request_duration_seconds histogram
hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"0.005\"} 1
hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"1.0\"} 3
hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"+Inf\"} 4
hubble_metrics_http_handler_request_duration_seconds_sum{code=\"200\"} 7.5
hubble_metrics_http_handler_request_duration_seconds_count{code=\"200\"} 4
";

const OPENMETRICS: &str = "\
# HELP hubble_drop Why \\\"dropped\\\", and\\nwhere: C:\\\\here.
# TYPE hubble_drop counter
hubble_drop_total{reason=\"POLICY_DENIED\",protocol=\"TCP\"} 18446744073709551615
# HELP process_cpu_seconds Time.
# TYPE process_cpu_seconds counter
# UNIT process_cpu_seconds seconds
process_cpu_seconds_total 12.25
# HELP process_resident_memory_bytes Memory.
# TYPE process_resident_memory_bytes gauge
# UNIT process_resident_memory_bytes bytes
process_resident_memory_bytes 4096
# HELP palomar_empty Without samples.
# TYPE palomar_empty gauge
# HELP palomar_build What runs.
# TYPE palomar_build info
palomar_build_info{version=\"0.1.0\"} 1
# HELP palomar_hostile Escaped.
# TYPE palomar_hostile gauge
palomar_hostile{source=\"a\\\"} 1\\nb\\\\n{\u{1b}[31m\r é\"} 1
# HELP hubble_metrics_http_handler_request_duration_seconds Latency.
# TYPE hubble_metrics_http_handler_request_duration_seconds histogram
# UNIT hubble_metrics_http_handler_request_duration_seconds seconds
hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"0.005\"} 1
hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"1.0\"} 3
hubble_metrics_http_handler_request_duration_seconds_bucket{code=\"200\",le=\"+Inf\"} 4
hubble_metrics_http_handler_request_duration_seconds_sum{code=\"200\"} 7.5
hubble_metrics_http_handler_request_duration_seconds_count{code=\"200\"} 4
# EOF
";
