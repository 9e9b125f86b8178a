//! `template.yaml`, the one place that says what the table is and which settings there are.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{
    AttributeDefinition, KeySchemaElement, KeyType, ScalarAttributeType,
};
use yaml_serde::Value;

/// The exporter's SAM template.
#[derive(Debug)]
pub struct Template(Value);

impl Default for Template {
    fn default() -> Self {
        let text = include_str!("../../template.yaml");
        Self(yaml_serde::from_str(text).expect("template.yaml is YAML"))
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
        let function = &self.0["Resources"][function]["Properties"];
        let variables = function["Environment"]["Variables"].as_mapping();
        variables.expect("the function has variables").keys().map(text).collect()
    }

    /// Names of the resources that every stack has.
    #[must_use]
    pub fn unconditional_resources(&self) -> BTreeSet<&str> {
        let resources = self.0["Resources"].as_mapping().expect("the template has resources");
        let always = resources.iter().filter(|(_, resource)| resource.get("Condition").is_none());
        always.map(|(name, _)| text(name)).collect()
    }

    /// What a parameter is if nobody says anything.
    #[must_use]
    pub fn default_of(&self, parameter: &str) -> &str {
        text(&self.0["Parameters"][parameter]["Default"])
    }

    /// Whether a function's queue is told which records failed.
    #[must_use]
    pub fn event_response_types(&self, function: &str, event: &str) -> Vec<&str> {
        let events = &self.0["Resources"][function]["Properties"]["Events"];
        let types = &events[event]["Properties"]["FunctionResponseTypes"];
        types.as_sequence().into_iter().flatten().map(text).collect()
    }

    /// `FunctionResponseTypes` of an event source mapping.
    #[must_use]
    pub fn response_types(&self, mapping: &str) -> Vec<&str> {
        let types = &self.0["Resources"][mapping]["Properties"]["FunctionResponseTypes"];
        types.as_sequence().into_iter().flatten().map(text).collect()
    }

    fn table(&self) -> &Value {
        &self.0["Resources"]["Table"]["Properties"]
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().expect("a list in template.yaml")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string in template.yaml")
}
