"use strict";
// The chat page. Everything a person or the bot wrote goes into the page as text, never as HTML.

const $ = (id) => document.getElementById(id);
const messages = new Map(); // "chat:id" -> message
const LANGUAGES = ["en", "ko", "ja", "es", "pt-br", "id", "ru", "ar", "fr", "de"];
let world = null, sequence = 0, person = null, language = null, place = { chat: null, thread: null }, replyTo = null;

function node(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  return answer.json();
}

// ---- what happens in the world

async function listen() {
  for (;;) {
    try {
      const answer = await fetch(`/chat/state?after=${sequence}&wait=${sequence ? 25 : 0}`);
      take(await answer.json());
    } catch {
      $("subtitle").textContent = "connecting …";
      await new Promise((done) => setTimeout(done, 1000));
      sequence = 0; world = null; messages.clear();
    }
  }
}

function take(state) {
  if (state.people) { world = state; person ??= state.people[0].id; showPeople(); showLanguages(); }
  sequence = Math.max(state.sequence, 1);
  if (world) world.commands = state.commands;
  for (const message of state.messages) messages.set(`${message.chat.id}:${message.message_id}`, message);
  for (const [chat, id] of state.deleted) messages.delete(`${chat}:${id}`);
  show();
}

// ---- where we are

const chatId = () => place.chat ?? person;
const personName = (user) => [user.first_name, user.last_name].filter(Boolean).join(" ");
const authorName = (message) => message.sender_chat?.title ?? personName(message.from);
const inGroup = () => place.chat === world.group.id;

function showPeople() {
  $("person").replaceChildren(...world.people.map((one) => {
    const option = node("option", "", personName(one));
    option.value = one.id;
    option.selected = one.id === person;
    return option;
  }));
}

// Of the person's app; people keep their own until another one is chosen.
function showLanguages() {
  const own = world.people.find((one) => one.id === person).language_code;
  language ??= own;
  $("language").replaceChildren(...LANGUAGES.map((code) => {
    const option = node("option", "", code);
    option.value = code;
    option.selected = code === language;
    return option;
  }));
}

function tabs() {
  const topics = world.topics.map((topic) => ({ label: `# ${topic.name}`, chat: world.group.id, thread: topic.id }));
  return [{ label: "Private chat", chat: null, thread: null }, ...topics, { label: world.channel.title, chat: world.channel.id, thread: null }];
}

function showChats() {
  $("chats").replaceChildren(...tabs().map((tab) => {
    const button = node("button", "", tab.label);
    button.type = "button";
    button.setAttribute("aria-current", tab.chat === place.chat && tab.thread === place.thread);
    button.onclick = () => { place = { chat: tab.chat, thread: tab.thread }; quote(null); show(true); };
    return button;
  }));
  $("title").textContent = !place.chat ? world.bot.first_name : inGroup() ? world.group.title : world.channel.title;
  $("subtitle").textContent = !place.chat ? "bot" : inGroup() ? "group, 3 people and the bot" : "channel";
  $("hidden").hidden = !(inGroup() && person === world.admin);
  $("text").disabled = place.chat === world.channel.id && person !== world.admin;
}

const visible = () => [...messages.values()]
  .filter((m) => m.chat.id === chatId() && (!m.only_for || m.only_for === person) && (!place.chat || (m.message_thread_id ?? null) === place.thread))
  .sort((a, b) => a.message_id - b.message_id);

// ---- messages

function show(jump = false) {
  if (!world) return;
  showChats();
  const list = $("messages");
  const atEnd = jump || list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  const shown = visible();
  const kept = new Map([...list.children].map((one) => [one.dataset.key, one]));
  const wanted = shown.map((message) => {
    const key = `${message.chat.id}:${message.message_id}:${message.changed}:${person}`;
    return kept.get(key) ?? bubble(message, key);
  });
  if (!wanted.length) wanted.push(node("p", "empty", place.chat ? "Commands work here: /search and a title" : "Send a title, or /start"));
  list.replaceChildren(...wanted);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function bubble(message, key) {
  const box = node("article", message.from?.id === person ? "message mine" : "message");
  box.dataset.key = key;
  box.dataset.id = message.message_id;
  const inner = node("div", "bubble");
  if (message.from?.id !== person && place.chat) inner.append(node("div", "author", authorName(message)));
  if (message.only_for) inner.append(node("div", "reply", "only you see this"));
  if (message.via_bot) inner.append(node("div", "reply", `via @${message.via_bot.username}`));
  if (message.reply_to_message) inner.append(node("div", "reply", oneLine(message.reply_to_message)));
  if (message.document) inner.append(file(message.document));
  const text = message.text ?? message.caption;
  if (text) inner.append(rich(text, message.entities ?? message.caption_entities ?? []));
  const preview = message.link_preview_options?.url;
  if (preview && /^https?:/.test(preview)) inner.append(picture(preview));
  inner.append(meta(message));
  box.append(inner);
  if (message.reaction) box.append(node("div", "reaction", message.reaction));
  if (message.reply_markup) box.append(keyboard(message));
  return box;
}

const oneLine = (m) => `${authorName(m)}: ${(m.text ?? m.document?.file_name ?? "").split("\n")[0]}`;

function meta(message) {
  const line = node("div", "meta");
  const answer = node("button", "", "Reply");
  answer.type = "button";
  answer.onclick = () => quote(message);
  const time = new Date(message.date * 1000).toTimeString().slice(0, 5);
  line.append(answer, node("span", "", (message.edit_date && message.from?.id === person ? "edited " : "") + time));
  return line;
}

function file(document_) {
  const link = node("a", "file");
  link.href = `/chat/file/${encodeURIComponent(document_.file_id)}`;
  link.download = document_.file_name;
  const names = node("span");
  names.append(node("b", "", document_.file_name), node("small", "", size(document_.file_size)));
  link.append(node("i", "", "⬇"), names);
  return link;
}

const size = (bytes) => bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

function picture(address) {
  const box = node("div", "preview"), image = node("img");
  image.src = address; image.alt = ""; image.loading = "lazy";
  image.onerror = () => box.remove();
  box.append(image);
  return box;
}

// Entities may lie inside each other; offsets count UTF-16 units, as JavaScript does.
function rich(text, entities) {
  const out = node("div", "words");
  out.dir = "auto";
  walk(out, text, 0, text.length, [...entities].sort((a, b) => a.offset - b.offset || b.length - a.length));
  return out;
}

const TAGS = { bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre", blockquote: "blockquote" };

function walk(parent, text, from, to, entities) {
  while (entities.length) {
    const entity = entities.shift(), end = Math.min(entity.offset + entity.length, to);
    if (entity.offset < from) continue;
    parent.append(text.slice(from, entity.offset));
    const inside = [];
    while (entities.length && entities[0].offset < end) inside.push(entities.shift());
    const element = entityNode(entity);
    if (entity.type === "bot_command") element.textContent = text.slice(entity.offset, end);
    else walk(element, text, entity.offset, end, inside);
    parent.append(element);
    from = end;
  }
  parent.append(text.slice(from, to));
}

function entityNode(entity) {
  if (entity.type === "text_link" && /^https?:/.test(entity.url)) {
    const link = node("a");
    link.href = entity.url; link.target = "_blank"; link.rel = "noopener noreferrer";
    return link;
  }
  return node(entity.type === "bot_command" ? "span" : TAGS[entity.type] ?? "span", entity.type === "bot_command" ? "command" : "");
}

// ---- buttons

function keyboard(message) {
  const keys = node("div", "keys");
  for (const row of message.reply_markup.inline_keyboard) {
    const line = node("div");
    for (const key of row) line.append(button(message, key));
    keys.append(line);
  }
  return keys;
}

function button(message, key) {
  const made = node("button", key.style ?? "", key.text);
  made.type = "button";
  made.dir = "auto";
  made.title = key.text;
  made.onclick = async () => {
    const start = key.url?.match(/^https:\/\/t\.me\/([^?/]+)\?(start|startgroup)=([\w-]+)$/);
    if (start && start[1] === world.bot.username) return openBot(start[2] === "startgroup", start[3]);
    if (key.url) return window.open(key.url, "_blank", "noopener");
    if (key.switch_inline_query_chosen_chat) return chooseChat(key.switch_inline_query_chosen_chat.query);
    if (key.copy_text) { await navigator.clipboard.writeText(key.copy_text.text); return toast("Copied"); }
    made.classList.add("waiting");
    const answer = await post("/chat/press", { person, chat: place.chat, message_id: message.message_id, data: key.callback_data, language });
    made.classList.remove("waiting");
    if (answer.alert) { $("alerttext").textContent = answer.text; $("alert").showModal(); }
    else if (answer.text) toast(answer.text);
  };
  return made;
}

// A link to the bot: its private chat, or the group it is brought to, and what the link says sent there.
function openBot(toGroup, payload) {
  place = { chat: toGroup ? world.group.id : null, thread: null };
  show(true);
  send(toGroup ? `/start@${world.bot.username} ${payload}` : `/start ${payload}`);
}

// ---- inline mode: what is typed behind the bot's name, in any chat

function chooseChat(query) {
  $("targets").replaceChildren(...tabs().map((tab) => {
    const choice = node("button", "", tab.label);
    choice.type = "button";
    choice.onclick = () => {
      $("share").close();
      place = { chat: tab.chat, thread: tab.thread };
      show(true);
      $("text").value = `@${world.bot.username} ${query}`;
      $("text").focus();
      offer();
    };
    return choice;
  }));
  $("share").showModal();
}

let offerTimer, offers = 0;
function offer() {
  const typed = world && $("text").value.match(new RegExp(`^@${world.bot.username} (.*)$`));
  clearTimeout(offerTimer);
  $("offers").hidden = true;
  if (typed) offerTimer = setTimeout(() => ask(typed[1], ++offers), 300);
}

async function ask(text, number) {
  const { query, results } = await post("/chat/inline", { person, text, language });
  if (number !== offers || !$("text").value.startsWith("@")) return;
  const items = (results ?? []).map((result) => {
    const item = node("button");
    item.type = "button";
    item.append(node("b", "", result.title), node("span", "", result.description ?? result.caption?.replace(/<[^>]*>/g, "").split("\n")[1] ?? ""));
    item.onclick = async () => {
      $("text").value = "";
      $("offers").hidden = true;
      await post("/chat/choose", { person, query, result: result.id, chat: place.chat, thread: place.thread });
    };
    return item;
  });
  $("offers").replaceChildren(...(items.length ? items : [node("p", "empty", "Nothing to offer")]));
  $("offers").hidden = false;
}

let toastTimer;
function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $("toast").hidden = true; }, 2600);
}

// ---- writing

function quote(message) {
  replyTo = message?.message_id ?? null;
  $("quoting").hidden = !message;
  $("quoted").textContent = message ? oneLine(message) : "";
  if (message) $("text").focus();
}

async function send(text) {
  if (!text.trim()) return;
  const anonymous = !$("hidden").hidden && $("anonymous").checked;
  const sent = { person, chat: place.chat, thread: place.thread, text, reply_to: replyTo, anonymous, language };
  quote(null);
  await post("/chat/send", sent);
  $("messages").scrollTop = $("messages").scrollHeight;
}

async function attach(file) {
  const query = new URLSearchParams({ person, name: file.name, text: $("text").value.trim() });
  if (place.chat) query.set("chat", place.chat);
  if (place.thread) query.set("thread", place.thread);
  if (language) query.set("language", language);
  $("text").value = "";
  await fetch(`/chat/attach?${query}`, { method: "POST", body: file });
}

// As Telegram looks them up: the narrowest scope that has some, in the person's language before all others.
function commandMenu() {
  const admin = person === world?.admin;
  const scopes = place.chat ? [...(admin ? ["all_chat_administrators"] : []), "all_group_chats", "default"] : [`chat:${person}`, "all_private_chats", "default"];
  for (const scope of scopes)
    for (const code of [language?.slice(0, 2), ""]) {
      const found = world?.commands[`${scope} ${code}`];
      if (found?.length) return found;
    }
  return [];
}

function showCommands(open) {
  const menu = $("commands");
  menu.hidden = !open;
  $("menu").setAttribute("aria-expanded", open);
  menu.replaceChildren(...commandMenu().map((command) => {
    const item = node("button");
    item.type = "button";
    item.setAttribute("role", "menuitem");
    item.append(node("b", "", `/${command.command}`), node("span", "", command.description));
    item.onclick = () => {
      showCommands(false);
      $("text").value = `/${command.command} `;
      $("text").focus();
    };
    return item;
  }));
}

$("composer").onsubmit = (event) => {
  event.preventDefault();
  showCommands(false);
  const text = $("text").value;
  if (!$("offers").hidden) return $("offers").querySelector("button")?.click();
  $("text").value = "";
  send(text);
};
$("text").oninput = () => { showCommands($("text").value === "/"); offer(); };
$("attach").onclick = () => $("file").click();
$("file").onchange = () => { if ($("file").files[0]) attach($("file").files[0]); $("file").value = ""; };
$("menu").onclick = () => showCommands($("commands").hidden);
$("unquote").onclick = () => quote(null);
$("person").onchange = () => { person = Number($("person").value); language = null; showLanguages(); quote(null); show(true); };
$("language").onchange = () => { language = $("language").value; };
document.addEventListener("keydown", (event) => { if (event.key === "Escape") { showCommands(false); quote(null); $("offers").hidden = true; } });
listen();
