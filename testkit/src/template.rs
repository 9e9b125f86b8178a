//! `template.yaml`, the one place that says what the table is and which settings there are.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType,
};
use serde_json::{Value, json};
use yaml_serde::Value as Yaml;

/// The exporter's SAM template.
#[derive(Debug)]
pub struct Template(Value);

impl Default for Template {
    fn default() -> Self {
        let text = include_str!("../../template.yaml");
        Self(plain(&yaml_serde::from_str(text).expect("template.yaml is YAML")))
    }
}

impl Template {
    /// The table's key.
    #[must_use]
    pub fn key_schema(&self) -> Vec<KeySchemaElement> {
        let elements = list(&self.table()["KeySchema"]).iter().map(|element| {
            KeySchemaElement::builder()
                .attribute_name(text(&element["AttributeName"]))
                .key_type(KeyType::from(text(&element["KeyType"])))
                .build()
                .expect("name and type are set")
        });
        elements.collect()
    }

    /// The types of the key's attributes.
    #[must_use]
    pub fn attribute_definitions(&self) -> Vec<AttributeDefinition> {
        let definitions = list(&self.table()["AttributeDefinitions"]).iter().map(|definition| {
            AttributeDefinition::builder()
                .attribute_name(text(&definition["AttributeName"]))
                .attribute_type(ScalarAttributeType::from(text(&definition["AttributeType"])))
                .build()
                .expect("name and type are set")
        });
        definitions.collect()
    }

    /// The attribute by which rows expire.
    #[must_use]
    pub fn ttl_attribute(&self) -> &str {
        text(&self.table()["TimeToLiveSpecification"]["AttributeName"])
    }

    /// Names of the environment variables that a function is given.
    #[must_use]
    pub fn variables(&self, function: &str) -> Vec<&str> {
        let own = &self.0["Resources"][function]["Properties"];
        let all = [&self.0["Globals"]["Function"], own].map(|it| &it["Environment"]["Variables"]);
        all.into_iter().flat_map(names).collect()
    }

    /// All of it, with `!Ref X` as `{"Ref": "X"}` and `!GetAtt X.Y` as `{"Fn::GetAtt": "X.Y"}`.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// Names of the resources that every stack has.
    #[must_use]
    pub fn unconditional_resources(&self) -> BTreeSet<&str> {
        let resources = &self.0["Resources"];
        names(resources).filter(|name| resources[*name].get("Condition").is_none()).collect()
    }

    /// What a parameter is if nobody says anything.
    #[must_use]
    pub fn default_of(&self, parameter: &str) -> &str {
        text(&self.0["Parameters"][parameter]["Default"])
    }

    /// `FunctionResponseTypes` of an event of a function.
    #[must_use]
    pub fn event_response_types(&self, function: &str, event: &str) -> Vec<&str> {
        let events = &self.0["Resources"][function]["Properties"]["Events"];
        let types = &events[event]["Properties"]["FunctionResponseTypes"];
        types.as_array().into_iter().flatten().map(text).collect()
    }

    /// `FunctionResponseTypes` of an event source mapping.
    #[must_use]
    pub fn response_types(&self, mapping: &str) -> Vec<&str> {
        let types = &self.0["Resources"][mapping]["Properties"]["FunctionResponseTypes"];
        types.as_array().into_iter().flatten().map(text).collect()
    }

    fn table(&self) -> &Value {
        &self.0["Resources"]["Table"]["Properties"]
    }
}

/// The names of an object's members.
fn names(object: &Value) -> impl Iterator<Item = &str> {
    object.as_object().expect("an object in template.yaml").keys().map(String::as_str)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list in template.yaml")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string in template.yaml")
}

/// YAML as JSON, CloudFormation's short forms (`!Ref`) in their long ones.
fn plain(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let name = match tag.trim_start_matches('!') {
                name @ ("Ref" | "Condition") => name.to_owned(),
                name => format!("Fn::{name}"),
            };
            json!({ name: plain(&tagged.value) })
        }
        Yaml::Sequence(items) => items.iter().map(plain).collect(),
        Yaml::Mapping(members) => {
            let name = |key: &Yaml| key.as_str().expect("names are strings").to_owned();
            members.iter().map(|(key, value)| (name(key), plain(value))).collect()
        }
        scalar => serde_json::to_value(scalar).expect("a scalar is JSON"),
    }
}
