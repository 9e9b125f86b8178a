//! Every setting, parameter and output is described, and can be set by the stack.

use std::collections::BTreeSet;

use testkit::template::Template;

use crate::{files, for_users, read};

/// The variables that `config/` reads: its quoted words in capitals.
fn settings() -> BTreeSet<String> {
    let sources: Vec<String> = files("src/config", ".rs").iter().map(|it| read(it)).collect();
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
    let (pages, template) = (for_users(), Template::default());
    let of_queue = read("deploy/queue.yaml");
    let functions = ["Exporter", "WebhookFunction", "ReconcileFunction", "HistoryFunction"];
    let [exporter, webhooks, reconcile, history] =
        functions.map(|function| BTreeSet::from_iter(template.variables(function)));
    let variables: BTreeSet<_> =
        [&exporter, &webhooks, &reconcile, &history].into_iter().flatten().copied().collect();
    let settings = settings();
    assert!(settings.len() >= 10, "{settings:?}");
    for name in &settings {
        assert!(pages.contains(&format!("`{name}`")), "{name} is in no page");
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
            assert!(is_set, "{name} is not in deploy/queue.yaml");
        }
    }
    // The functions store by the same rules.
    for name in ["TABLE_NAME", "VERSIONS", "REACTIONS", "REACTION_CLIENTS", "RETENTION_DAYS"]
        .into_iter()
        .chain(["ROOM_FILTER", "ROOM_INDEX", "ABLY_APP_ID", "CIPHER_KEY", "LOG_LEVEL"])
    {
        for (function, given) in functions.iter().zip([&exporter, &webhooks, &reconcile, &history])
        {
            assert!(given.contains(name), "{name} is not set for {function}");
        }
    }
    for name in variables {
        let sdk = ["AWS_MAX_ATTEMPTS", "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH"].contains(&name);
        assert!(sdk || settings.contains(name), "{name} is set and never read");
    }
}

/// A parameter is described by its own name, or by that of the variable that it sets.
#[test]
fn every_parameter_is_described() {
    let (pages, template) = (for_users(), Template::default());
    for name in template.json()["Parameters"].as_object().expect("parameters").keys() {
        let variable = name.chars().fold(String::new(), |text, letter| {
            let gap = if letter.is_ascii_uppercase() && !text.is_empty() { "_" } else { "" };
            format!("{text}{gap}{}", letter.to_ascii_uppercase())
        });
        let ways = [format!("`{name}`"), format!("`{name}="), format!("`{variable}`")];
        let is_named = ways.iter().any(|way| pages.contains(way));
        assert!(is_named, "neither {name} nor {variable} is in a page");
    }
}

#[test]
fn the_pages_name_the_outputs_of_the_stack() {
    let (pages, template) = (for_users(), Template::default());
    let outputs = ["Region", "FunctionName", "RoleArn", "WebhookUrl", "QueueName", "AccountId"];
    for name in outputs.into_iter().chain(["StreamName", "RoutingKey", "ReconcileFunctionName"]) {
        assert!(pages.contains(&format!("output `{name}`")), "{name} is in no page");
        let description = template.json()["Outputs"][name]["Description"].as_str();
        let is_of_form = description.is_some_and(|it| it.starts_with("Ably's"));
        assert!(is_of_form, "{name} says which field of Ably's form it is for");
    }
    assert!(pages.contains(r"`::\$chat$`"));
    assert_eq!(template.json()["Outputs"]["ChannelFilter"]["Value"], r"::\$chat$");
}
