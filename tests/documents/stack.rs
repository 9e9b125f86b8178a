//! What a stack has by default, and how Lambda is answered.

use std::collections::BTreeSet;

use testkit::template::Template;

/// No other delivery is there, or costs anything, until it is asked for.
#[test]
fn deliveries_are_off_by_default() {
    let template = Template::default();
    let always = [
        "Table",
        "Exporter",
        "ExporterRole",
        "LogGroup",
        "FailureQueue",
        "Redrive",
        "AblyRole",
        "ErrorsAlarm",
        "ThrottlesAlarm",
        "FailureQueueAlarm",
        "DestinationAlarm",
    ];
    assert_eq!(template.unconditional_resources(), BTreeSet::from(always));
    for name in ["EnableWebhook", "EnableSqs", "EnableKinesis"] {
        assert_eq!(template.default_of(name), "false", "{name}");
    }
    assert_eq!(template.default_of("AblyApiKeyArn"), "");
    for name in ["KafkaClusterArn", "KafkaBootstrapServers", "MqBrokerArn", "WebhookKeysArn"] {
        assert_eq!(template.default_of(name), "", "{name}");
    }
}

/// A mapping without it takes a list of failures for success, and deletes them.
#[test]
fn queues_and_streams_report_batch_item_failures() {
    let template = Template::default();
    for name in ["Redrive", "DeliveryQueueMapping", "DeliveryStreamMapping"] {
        assert_eq!(template.response_types(name), ["ReportBatchItemFailures"], "{name}");
    }
    let work = template.event_response_types("ReconcileFunction", "Work");
    assert_eq!(work, ["ReportBatchItemFailures"]);
    for name in ["MskMapping", "KafkaMapping", "MqMapping"] {
        assert_eq!(template.response_types(name), Vec::<&str>::new(), "{name}");
    }
}
