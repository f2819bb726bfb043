"use strict";
// Shows the OpenAPI document. Everything goes in as text, nothing as HTML.

function element(name, content = [], attributes = {}) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...[content].flat());
  return made;
}

// What stands in backticks is code.
function prose(text) {
  return text.split("`").map((part, place) => (place % 2 ? element("code", part) : part));
}

function named(schema) {
  return schema.$ref ? schema.$ref.split("/").pop() : null;
}

function kind(schema) {
  if (named(schema)) return named(schema);
  const several = schema.anyOf || schema.oneOf;
  if (several) return several.map(kind).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.type === "array") return `list of ${kind(schema.items || {})}`;
  return schema.type || "anything";
}

function fields(schema) {
  const required = schema.required || [];
  return Object.entries(schema.properties || {}).map(([name, one]) =>
    [name, [kind(one), required.includes(name) ? "" : "optional", one.description].filter(Boolean).join(" · ")]);
}

function table(rows) {
  return element("table", rows.map((row) => element("tr", row.map((cell) => element("td", prose(cell))))));
}

function section(title, ...content) {
  return [element("h3", title), ...content];
}

function operation(method, path, one, models) {
  const parts = [];
  const parameters = (one.parameters || []).map((p) =>
    [p.name, [p.in, kind(p.schema || {}), p.required ? "" : "optional", p.description].filter(Boolean).join(" · ")]);
  if (parameters.length) parts.push(...section("Takes", table(parameters)));
  if (one.requestBody) {
    const [types, [first]] = [Object.keys(one.requestBody.content), Object.values(one.requestBody.content)];
    parts.push(...section(`Takes, as ${types.join(" or ")}, or in the query`, table(fields(models[named(first.schema)] || {}))));
  }
  const answers = Object.entries(one.responses).map(([status, answer]) => {
    const contents = Object.entries(answer.content || {});
    return [status, contents.map(([type, { schema }]) => (schema ? kind(schema) : type)).join(", ") || answer.description];
  });
  parts.push(...section("Answers", table(answers)));
  const title = element("summary", [element("b", method.toUpperCase()), element("code", path), element("span", one.summary)]);
  return element("details", [title, ...parts], { id: one.operationId });
}

function example() {
  const api = `${location.origin}/api`;
  const curl = 'curl -H "Authorization: Bearer $API_TOKEN"';
  const asked = `-H "Content-Type: application/json" -d '{"ids": ["<chapter id>"], "source": "<source>"}'`;
  return [`${curl} ${api}/sources`, `${curl} "${api}/search?query=<title>"`,
    `${curl} "${api}/chapters?source=<source>&id=<title's id>"`, `${curl} ${asked} ${api}/download`];
}

async function show() {
  const main = document.getElementById("main");
  const answer = await fetch("/api/openapi.json");
  const api = await answer.json();
  const models = (api.components || {}).schemas || {};
  const operations = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]) => operation(method, path, one, models)));
  const described = Object.entries(models).map(([name, schema]) =>
    element("details", [element("summary", element("code", name)), element("p", prose(schema.description || "")),
      table(schema.enum ? schema.enum.map((one) => [one, ""]) : fields(schema))]));
  main.replaceChildren(
    element("h1", api.info.title), element("p", prose(api.info.description)),
    element("pre", example().join("\n")),
    element("p", element("a", "openapi.json", { href: "/api/openapi.json" })),
    element("h2", "Routes"), ...operations, element("h2", "Models"), ...described);
}

show();
