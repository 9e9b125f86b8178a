//! What `template.yaml` promises of the stack: what is where, what stays, who is told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use testkit::template::Template;

use crate::read;

/// The resources of these types, by name.
fn resources<'a>(template: &'a Template, types: &[&str]) -> Vec<(&'a str, &'a Value)> {
    let all = template.json()["Resources"].as_object().expect("resources").iter();
    let wanted = all.filter(|(_, resource)| types.iter().any(|it| resource["Type"] == *it));
    wanted.map(|(name, resource)| (name.as_str(), resource)).collect()
}

fn resource<'a>(template: &'a Template, name: &str) -> &'a Value {
    template.json()["Resources"].get(name).unwrap_or_else(|| panic!("there is no {name}"))
}

/// Every value under a member called `name`, at any depth.
fn all<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                if key == name {
                    found.push(value);
                }
                all(value, name, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, name, found)),
        _ => {}
    }
}

/// What a value refers to: parameters, resources and conditions, by `Ref`, `GetAtt` and `Sub`.
fn references(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let find = |name| {
        let mut values = Vec::new();
        all(value, name, &mut values);
        values.into_iter().filter_map(Value::as_str)
    };
    let of_attributes = find("Fn::GetAtt").filter_map(|it| it.split('.').next());
    found.extend(find("Ref").chain(of_attributes).map(ToOwned::to_owned));
    for text in find("Fn::Sub") {
        let inside = text.split("${").skip(1).filter_map(|it| it.split(['}', '.']).next());
        found.extend(inside.map(ToOwned::to_owned));
    }
    found
}

#[test]
fn every_parameter_is_used_and_in_one_group_of_the_form() {
    let template = Template::default();
    let json = template.json();
    let used: BTreeSet<_> = ["Conditions", "Globals", "Resources", "Outputs"]
        .iter()
        .flat_map(|part| references(&json[*part]))
        .collect();
    let groups = json["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"].as_array();
    let grouped = groups.expect("groups").iter().flat_map(|group| group["Parameters"].as_array());
    let mut grouped: Vec<_> = grouped.flatten().filter_map(Value::as_str).collect();
    grouped.sort_unstable();
    let mut names = Vec::new();
    for (name, parameter) in json["Parameters"].as_object().expect("parameters") {
        assert!(used.contains(name), "{name} is a parameter and used nowhere");
        assert!(parameter["Description"].as_str().is_some(), "{name} is described");
        names.push(name.as_str());
    }
    names.sort_unstable();
    assert_eq!(grouped, names, "each parameter is in one group");
}

/// Metrics of AWS's own, and the one dimension they are looked at by: "Types of metrics for Lambda
/// functions" in the Lambda Developer Guide, "Available CloudWatch metrics for Amazon SQS" in
/// SQS's.
const OF_AWS: [(&str, &str, &str); 8] = [
    ("AWS/Lambda", "Errors", "FunctionName"),
    ("AWS/Lambda", "Throttles", "FunctionName"),
    ("AWS/Lambda", "DestinationDeliveryFailures", "FunctionName"),
    ("AWS/Lambda", "Url5xxCount", "FunctionName"),
    ("AWS/Lambda", "IteratorAge", "FunctionName"),
    ("AWS/Lambda", "OffsetLag", "FunctionName"),
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName"),
    ("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName"),
];

/// The metrics that an alarm looks at: of itself, or of its expression.
fn metrics(alarm: &Value) -> Vec<&Value> {
    let of_expression = alarm["Metrics"].as_array().into_iter().flatten();
    let of_expression = of_expression.map(|it| &it["MetricStat"]["Metric"]);
    let own = alarm.get("MetricName").map(|_| alarm);
    of_expression.chain(own).filter(|it| !it.is_null()).collect()
}

#[test]
fn every_alarm_looks_at_a_metric_that_is_written_of_something_that_is_there() {
    let template = Template::default();
    let sources = ["src/lambda/metrics.rs", "src/reconcile/mod.rs", "src/reconcile/signs.rs"];
    let code = sources.map(read).concat();
    let alarms = resources(&template, &["AWS::CloudWatch::Alarm"]);
    assert!(alarms.len() >= 16, "{}", alarms.len());
    for (name, alarm) in alarms {
        let properties = &alarm["Properties"];
        assert_eq!(properties["TreatMissingData"], "notBreaching", "{name}");
        assert!(properties["AlarmActions"].is_array(), "{name} tells nobody");
        let metrics = metrics(properties);
        assert!(!metrics.is_empty(), "{name} looks at nothing");
        for metric in metrics {
            let text = |member: &str| metric[member].as_str().expect("a name").to_owned();
            let (namespace, called) = (text("Namespace"), text("MetricName"));
            let dimensions = metric["Dimensions"].as_array().expect("dimensions");
            let by: Vec<_> = dimensions.iter().filter_map(|it| it["Name"].as_str()).collect();
            if namespace == "AblyChatExporter" {
                assert!(code.contains(&format!("\"{called}\"")), "{name}: nobody writes {called}");
                assert_eq!(by[0], "FunctionName", "{name}");
            } else {
                let known = (namespace.as_str(), called.as_str(), by[0]);
                assert!(OF_AWS.contains(&known), "{name}: {known:?} is unknown");
            }
            for of in references(&json!(dimensions)) {
                let condition = resource(&template, &of).get("Condition");
                let is_there = condition.is_none() || condition == alarm.get("Condition");
                assert!(is_there, "{name} may be there without {of}");
            }
        }
    }
}

/// Queue and stream may hold what is not in the table yet; a `DeletionPolicy` counts when a
/// condition turns false, too (CloudFormation, "DeletionPolicy attribute").
#[test]
fn regression_what_holds_messages_outlives_the_parameter_that_made_it() {
    let template = Template::default();
    for name in ["Table", "FailureQueue"] {
        assert_eq!(resource(&template, name)["DeletionPolicy"], "Retain", "{name}");
    }
    for name in ["DeliveryQueue", "DeliveryStream"] {
        let found = &resource(&template, name)["DeletionPolicy"];
        assert_eq!(found, "RetainExceptOnCreate", "{name}");
    }
    for name in ["Table", "FailureQueue", "DeliveryQueue", "DeliveryStream"] {
        assert_eq!(resource(&template, name)["UpdateReplacePolicy"], "Retain", "{name}");
    }
}

/// On a standard queue the end of a message's life counts from its first sending, wherever it is
/// moved.
#[test]
fn regression_what_goes_on_to_the_failure_queue_late_stays_there_for_ten_days() {
    let template = Template::default();
    let properties = |name: &str| resource(&template, name)["Properties"].clone();
    let seconds = |name: &str| properties(name)["MessageRetentionPeriod"].as_u64().expect("a time");
    let day = 86_400;
    assert_eq!(seconds("FailureQueue"), 14 * day);
    assert!(seconds("FailureQueue") - seconds("DeliveryQueue") >= 10 * day);
    // Nor does it expire on its way: it is received as often as this before it goes on.
    let times = properties("DeliveryQueue")["RedrivePolicy"]["maxReceiveCount"].clone();
    let longest = redelivery(&template).into_values().max().expect("a time");
    let on_its_way = times.as_u64().expect("a number") * longest;
    assert!(on_its_way < day, "{on_its_way}");
}

/// How long a queue hides a message, by the function's `Timeout`.
fn redelivery(template: &Template) -> BTreeMap<String, u64> {
    let mapping = template.json()["Mappings"]["Redelivery"].as_object().expect("a mapping");
    let seconds = |row: &Value| row["Seconds"].as_u64().expect("a time");
    mapping.iter().map(|(timeout, row)| (timeout.clone(), seconds(row))).collect()
}

/// A mapping of a queue that hides messages for less than the function takes is refused, in the
/// middle of a deployment.
#[test]
fn a_queue_hides_a_message_for_six_times_what_the_function_may_take() {
    let template = Template::default();
    let timeout = &template.json()["Parameters"]["Timeout"];
    let allowed = timeout["AllowedValues"].as_array().expect("a list").iter();
    let six_times = |timeout: &Value| 6 * timeout.as_u64().expect("seconds");
    let expected = allowed.map(|timeout| (timeout.to_string(), six_times(timeout))).collect();
    assert_eq!(redelivery(&template), expected);
    assert_eq!(six_times(&timeout["Default"]), 180);
    for name in ["DeliveryQueue", "FailureQueue"] {
        let hides_for = &resource(&template, name)["Properties"]["VisibilityTimeout"];
        let looked_up = json!({"Fn::FindInMap": ["Redelivery", {"Ref": "Timeout"}, "Seconds"]});
        assert_eq!(*hides_for, looked_up, "{name}");
    }
    for name in ["Exporter", "WebhookFunction"] {
        let limit = &resource(&template, name)["Properties"]["Timeout"];
        assert_eq!(*limit, json!({"Ref": "Timeout"}), "{name}");
    }
}

#[test]
fn regression_a_stream_is_tried_for_as_long_as_its_records_live() {
    let template = Template::default();
    let mapping = &resource(&template, "DeliveryStreamMapping")["Properties"];
    assert_eq!(mapping["MaximumRetryAttempts"], -1);
    assert_eq!(mapping["MaximumRecordAgeInSeconds"], 172_800);
}

/// Lambda's recursive loop detection ends a chain of some sixteen invocations.
#[test]
fn regression_a_long_walk_may_go_back_to_its_queue_as_often_as_it_takes() {
    let template = Template::default();
    let function = &resource(&template, "ReconcileFunction")["Properties"];
    assert_eq!(function["RecursiveLoop"], "Allow");
    for name in ["Exporter", "WebhookFunction"] {
        let other = resource(&template, name)["Properties"].get("RecursiveLoop");
        assert_eq!(other, None, "{name} sends itself nothing");
    }
}

/// `sam deploy` could be told another processor than `sam build` was.
#[test]
fn regression_one_place_says_for_which_processor_is_built_and_deployed() {
    let template = Template::default();
    let mut found = Vec::new();
    all(template.json(), "Architectures", &mut found);
    assert_eq!(found, [&json!(["x86_64"])], "in Globals alone, and no reference");
    assert_eq!(found[0], &template.json()["Globals"]["Function"]["Architectures"]);
}

/// SAM asks again and again for a parameter that is hidden and may be blank.
#[test]
fn regression_no_parameter_is_asked_for_without_end() {
    for text in [read("template.yaml"), read("deploy/queue.yaml")] {
        assert!(!text.contains("NoEcho"));
    }
}

/// What a role may do with what a parameter names.
fn allowed(template: &Template, role: &str, parameter: &str) -> BTreeSet<String> {
    let mut found = Vec::new();
    let policies = &resource(template, role)["Properties"]["Policies"];
    let of_policy = policies[0]["PolicyDocument"]["Statement"].as_array().expect("statements");
    for statement in of_policy {
        let conditional = statement["Fn::If"].get(1);
        let statement = conditional.unwrap_or(statement);
        if references(&statement["Resource"]).contains(parameter) {
            match &statement["Action"] {
                Value::Array(actions) => found.extend(actions.iter().filter_map(Value::as_str)),
                action => found.extend(action.as_str()),
            }
        }
    }
    found.into_iter().map(ToOwned::to_owned).collect()
}

#[test]
fn regression_a_secret_of_kafka_can_be_decrypted_with_its_own_key() {
    let template = Template::default();
    let decrypt = allowed(&template, "ExporterRole", "KafkaKmsKeyArn");
    assert_eq!(decrypt, BTreeSet::from(["kms:Decrypt".to_owned()]));
}

#[test]
fn every_function_may_read_the_secrets_it_is_given_and_no_others() {
    let template = Template::default();
    let read = ["secretsmanager:GetSecretValue", "ssm:GetParameter"].map(ToOwned::to_owned);
    let secrets = [
        "CipherKeyArn",
        "WebhookKeysArn",
        "WebhookTokenArn",
        "AblyApiKeyArn",
        "HistoryKeysArn",
        "PublishRulesArn",
    ];
    let functions = [
        ("Exporter", "ExporterRole"),
        ("WebhookFunction", "WebhookRole"),
        ("ReconcileFunction", "ReconcileRole"),
        ("HistoryFunction", "HistoryRole"),
    ];
    for (function, role) in functions {
        let own = &resource(&template, function)["Properties"]["Environment"];
        let globals = &template.json()["Globals"]["Function"]["Environment"];
        let given: BTreeSet<_> = [own, globals].into_iter().flat_map(references).collect();
        for secret in secrets {
            let expected = given.contains(secret).then(|| BTreeSet::from(read.clone()));
            let found = allowed(&template, role, secret);
            assert_eq!(found, expected.unwrap_or_default(), "{role} and {secret}");
        }
    }
}

/// Whoever calls the URL takes up no instance that Ably's invocations need.
#[test]
fn regression_the_anonymous_url_is_not_the_exporters() {
    let template = Template::default();
    let refers = |name: &str, to: &str| references(resource(&template, name)).contains(to);
    for name in ["WebhookUrl", "WebhookUrlPermission", "WebhookInvokePermission"] {
        assert!(refers(name, "WebhookFunction") && !refers(name, "Exporter"), "{name}");
    }
    let function = &resource(&template, "WebhookFunction")["Properties"];
    let reserved = references(&function["ReservedConcurrentExecutions"]);
    assert!(reserved.contains("WebhookConcurrency"), "{reserved:?}");
    assert!(!refers("AblyRole", "WebhookFunction"), "Ably calls its URL");
    // The same program, which is built once for both.
    let exporter = resource(&template, "Exporter");
    assert_eq!(resource(&template, "WebhookFunction")["Metadata"], exporter["Metadata"]);
    assert_eq!(function["CodeUri"], exporter["Properties"]["CodeUri"]);
    for name in template.variables("Exporter") {
        assert!(!name.starts_with("WEBHOOK_"), "{name}: the exporter lets in no webhook");
    }
}

/// Lambda takes lines without a level for INFO, and metrics have none.
#[test]
fn regression_no_log_level_drops_the_metrics() {
    let template = Template::default();
    let globals = &template.json()["Globals"]["Function"];
    assert_eq!(globals["LoggingConfig"]["ApplicationLogLevel"], "TRACE");
    assert_eq!(globals["Environment"]["Variables"]["LOG_LEVEL"], json!({"Ref": "LogLevel"}));
    for (name, function) in resources(&template, &["AWS::Serverless::Function"]) {
        assert_eq!(function["Properties"].get("LoggingConfig"), None, "{name}");
    }
}
