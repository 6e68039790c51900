//! Which format a scraper asks for.

use super::exposition::Format;

/// The format of an answer to a request with this `Accept` header; an absent header is empty. `OpenMetrics` is told
/// only to those who rank it above plain text; whoever accepts neither is told plain text.
pub fn format(accept: &str) -> Format {
    let rank = |format| accept.split(',').filter_map(|range| quality(range, format)).max().unwrap_or(0);
    if rank(Format::OpenMetrics) > rank(Format::Prometheus) {
        Format::OpenMetrics
    } else {
        Format::Prometheus
    }
}

/// How much a media range wants a format, in thousandths; `None` if it does not speak of it.
fn quality(range: &str, format: Format) -> Option<u16> {
    let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
    let media_type = parts.next()?;
    let parameters: Vec<String> = parts.collect();
    let parameter =
        |name: &str| parameters.iter().find_map(|text| text.strip_prefix(name)?.strip_prefix('='));
    let is_meant = match (format, media_type.as_str()) {
        (Format::OpenMetrics, "application/openmetrics-text") => {
            matches!(parameter("version"), None | Some("1.0.0"))
        }
        (Format::Prometheus, "text/plain") => matches!(parameter("version"), None | Some("0.0.4")),
        (Format::Prometheus, "text/*" | "*/*") => true,
        _ => false,
    };
    is_meant.then(|| parameter("q").map_or(1_000, thousandths))
}

/// A weight of at most 1 with at most three decimals; 0 for what is none.
fn thousandths(weight: &str) -> u16 {
    let (whole, decimals) = weight.split_once('.').unwrap_or((weight, ""));
    match (whole, format!("{decimals:0<3}").parse()) {
        ("0", Ok(thousandths @ 0..1_000)) if decimals.len() <= 3 => thousandths,
        ("1", Ok(0)) => 1_000,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_told_to_those_who_want_it_more() {
        use Format::{OpenMetrics, Prometheus};
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                            version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                            application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;\
                            escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, expected) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("text/plain", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=1.0.0", OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Prometheus),
            ("application/openmetrics-text;version=2.0.0", Prometheus),
            (prometheus_2, OpenMetrics),
            (prometheus_3, OpenMetrics),
            ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;q=0.4", Prometheus),
            ("application/openmetrics-text,text/plain", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=0.001", OpenMetrics),
            ("application/openmetrics-text;q=1.5,text/plain;q=0.1", Prometheus),
            ("application/openmetrics-text;q=x", Prometheus),
            (";;,,;q=", Prometheus),
        ] {
            assert_eq!(format(accept), expected, "{accept}");
        }
    }
}
