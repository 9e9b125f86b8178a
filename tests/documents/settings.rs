//! What the documents promise: every setting is described, can be set by the stack, and the table
//! of README is the table.

use std::collections::BTreeSet;
use std::path::Path;

use testkit::template::Template;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(path).expect("the file exists")
}

/// The variables that `config/` reads: its quoted words in capitals.
fn settings() -> BTreeSet<String> {
    let sources = ["mod", "queue", "ably_rest"].map(|it| read(&format!("src/config/{it}.rs")));
    let code = sources.iter().map(|it| it.split("#[cfg(test)]").next().expect("a first part"));
    let code: String = code.collect();
    let quoted = code.split('"').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.len() > 6 && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    quoted.filter(is_name).map(ToOwned::to_owned).collect()
}

#[test]
fn every_setting_is_described_and_can_be_set() {
    let (readme, template) = (read("README.md"), Template::default());
    let of_queue = read("template-queue.yaml");
    let functions = ["Exporter", "WebhookFunction", "ReconcileFunction"];
    let [exporter, webhooks, reconcile] =
        functions.map(|function| BTreeSet::from_iter(template.variables(function)));
    let variables: BTreeSet<_> =
        [&exporter, &webhooks, &reconcile].into_iter().flatten().copied().collect();
    let settings = settings();
    assert!(settings.len() >= 10, "{settings:?}");
    for name in &settings {
        assert!(readme.contains(&format!("`{name}`")), "{name} is not in README.md");
        // The stack of the queue's consumer gives host and key instead of a URL that holds both.
        let set_elsewhere = [
            "AWS_LAMBDA_LOG_LEVEL",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "ABLY_QUEUE_URL",
            "ABLY_REST_URL",
        ];
        if !set_elsewhere.contains(&name.as_str()) {
            let is_set =
                variables.contains(name.as_str()) || of_queue.contains(&format!("Name: {name},"));
            assert!(is_set, "{name} is in no template");
        }
        if exporter.contains(name.as_str()) {
            let is_set = of_queue.contains(&format!("Name: {name}"));
            assert!(is_set, "{name} is not in template-queue.yaml");
        }
    }
    // The three functions store by the same rules.
    for name in ["TABLE_NAME", "VERSIONS", "REACTIONS", "REACTION_CLIENTS", "RETENTION_DAYS"]
        .into_iter()
        .chain(["ROOM_FILTER", "ROOM_INDEX", "ABLY_APP_ID", "CIPHER_KEY", "LOG_LEVEL"])
    {
        for (function, given) in functions.iter().zip([&exporter, &webhooks, &reconcile]) {
            assert!(given.contains(name), "{name} is not set for {function}");
        }
    }
    for name in variables {
        let sdk = name == "AWS_MAX_ATTEMPTS";
        assert!(sdk || settings.contains(name), "{name} is set and never read");
    }
}

/// A parameter is described by its own name, or by that of the variable that it sets.
#[test]
fn every_parameter_is_described() {
    let (readme, template) = (read("README.md"), Template::default());
    for name in template.json()["Parameters"].as_object().expect("parameters").keys() {
        let variable = name.chars().fold(String::new(), |text, letter| {
            let gap = if letter.is_ascii_uppercase() && !text.is_empty() { "_" } else { "" };
            format!("{text}{gap}{}", letter.to_ascii_uppercase())
        });
        let ways = [format!("`{name}`"), format!("`{name}="), format!("`{variable}`")];
        let is_named = ways.iter().any(|way| readme.contains(way));
        assert!(is_named, "neither {name} nor {variable} is in README.md");
    }
}

#[test]
fn readme_names_the_outputs_of_the_stack() {
    let (readme, template) = (read("README.md"), read("template.yaml"));
    let outputs = ["Region", "FunctionName", "RoleArn", "WebhookUrl", "QueueName", "AccountId"];
    for name in outputs.into_iter().chain(["StreamName", "RoutingKey", "ReconcileFunctionName"]) {
        assert!(readme.contains(&format!("output `{name}`")), "{name} in README.md");
        let output = template.split(&format!("\n  {name}:\n")).last().expect("an output");
        let description = output.lines().take(2).any(|line| line.contains("Description: \"Ably's"));
        assert!(description, "{name} says which field of Ably's form it is for");
    }
    assert!(readme.contains(r"`::\$chat$`") && template.contains(r#"Value: "::\\$chat$""#));
}

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
