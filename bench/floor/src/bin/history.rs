//! The least that a page of messages takes: one Query, and its items as JSON.

use aws_sdk_dynamodb::types::AttributeValue;
use floor::{client, env};
use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use serde_json::{Map, Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let (client, table) = (client()?, env("TABLE_NAME").unwrap_or_default());
    let (client, table) = (&client, &table);
    let handler = service_fn(async |event: LambdaEvent<Value>| -> Result<Value, Error> {
        let query = event.payload["rawQueryString"].as_str().unwrap_or_default();
        let limit = query.split('&').find_map(|part| part.strip_prefix("limit=")?.parse().ok());
        let found = client
            .query()
            .table_name(table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", AttributeValue::S("a".into()))
            .expression_attribute_values(":sk", AttributeValue::S("message#".into()))
            .scan_index_forward(false)
            .set_limit(limit)
            .send()
            .await?;
        let items: Vec<Value> = found.items.unwrap_or_default().iter().map(plain).collect();
        let body = serde_json::to_string(&items)?;
        Ok(json!({"statusCode": 200, "headers": {"content-type": "application/json"},
                  "body": body, "isBase64Encoded": false}))
    });
    Runtime::new(handler).run().await
}

fn plain(item: &std::collections::HashMap<String, AttributeValue>) -> Value {
    let members = item.iter().map(|(name, value)| (name.clone(), value_of(value)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn value_of(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => text.as_str().into(),
        AttributeValue::N(number) => number.parse::<i64>().map_or(Value::Null, Value::from),
        AttributeValue::Bool(is_true) => (*is_true).into(),
        AttributeValue::L(values) => values.iter().map(value_of).collect(),
        AttributeValue::M(item) => plain(item),
        _ => Value::Null,
    }
}
