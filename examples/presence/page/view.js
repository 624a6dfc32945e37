// What is seen. Names come from anybody: they enter the page as text and never as HTML.

import { kind } from "./people.js";

// As many people are drawn at most, and entries of the feed.
const DRAWN = 200;
const ENTRIES = 60;

const $ = (id) => document.getElementById(id);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// Brings a list to the elements of `entries`, by their keys, so that those that stay are not drawn anew.
function fill(list, entries, make) {
  const wanted = new Map(entries);
  const old = new Map();
  for (const element of [...list.children]) {
    if (wanted.has(element.dataset.key)) old.set(element.dataset.key, element);
    else element.remove();
  }
  let at = list.firstElementChild;
  for (const [key, data] of wanted) {
    const element = old.get(key) ?? make();
    element.dataset.key = key;
    element.draw(data);
    if (element === at) at = at.nextElementSibling;
    else list.insertBefore(element, at);
  }
}

function copy(template) {
  return $(template).content.firstElementChild.cloneNode(true);
}

// A colour for a name, the same everywhere.
function hue(name) {
  const hash = [...name].reduce((hash, letter) => Math.imul(hash ^ letter.codePointAt(0), 0x01000193), 7);
  return (hash >>> 8) % 360;
}

function initials(name) {
  const words = name.split(/\s+/).map((word) => [...word][0] ?? "");
  return (words.length > 1 ? words[0] + words.at(-1) : words[0]).toUpperCase();
}

function makeSeat() {
  const element = copy("seat");
  element.draw = ({ device, away, instance }) => {
    element.classList.toggle("away", away);
    element.querySelector("use").setAttribute("href", `#${kind(device)}`);
    element.querySelector(".kind").textContent = kind(device);
    element.querySelector(".where").textContent = instance;
    element.title = `${kind(device)}, connected to ${instance}${away ? ", away" : ""}`;
  };
  return element;
}

function makePerson() {
  const element = copy("person");
  element.draw = ({ name, seats, own }) => {
    const isAway = [...seats.values()].every((seat) => seat.away);
    element.dataset.devices = seats.size;
    element.classList.toggle("away", isAway);
    element.querySelector(".face").textContent = initials(name);
    element.querySelector(".face").style.setProperty("--hue", hue(name));
    element.querySelector("bdi").textContent = name;
    element.querySelector(".own").hidden = !seats.has(own);
    element.querySelector(".note").textContent = `${isAway ? "Away" : "Active"} · ${plural(seats.size, "device")}`;
    fill(element.querySelector(".seats"), seats, makeSeat);
  };
  return element;
}

function drawCount(id, count, one, many) {
  $(id).textContent = count;
  $(id).nextElementSibling.textContent = count === 1 ? one : many;
}

export function drawPeople(people, own) {
  const { users } = people;
  const drawn = people.sorted().slice(0, DRAWN);
  fill($("people"), drawn.map(([name, seats]) => [name, { name, seats, own }]), makePerson);
  drawCount("users", users, "person", "people");
  drawCount("devices", people.devices, "device", "devices");
  drawCount("instances", people.instances, "server", "servers");
  $("nobody").hidden = users > 0;
  $("more").hidden = users <= DRAWN;
  $("more").textContent = `and ${users - DRAWN} more`;
  document.title = `(${users}) Who is here`;
}

export function addToFeed({ name, text, how }) {
  const entry = document.createElement("li");
  entry.className = how;
  const words = document.createElement("span");
  if (name) {
    const who = document.createElement("bdi");
    who.textContent = name;
    words.append(who, ` ${text}`);
  } else {
    words.textContent = text;
  }
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  entry.append(words, time);
  $("feed").prepend(entry);
  while ($("feed").children.length > ENTRIES) $("feed").lastElementChild.remove();
  $("quiet").hidden = true;
}

const LINKS = {
  connecting: ["Connecting", ""],
  open: ["Live", ""],
  lost: ["Reconnecting", "Connection lost. Reconnecting…"],
  trouble: ["Waiting", "The server cannot reach its store: what you see may be old."],
};

export function drawLink(state) {
  const [word, banner] = LINKS[state];
  document.body.dataset.link = state;
  $("link-text").textContent = word;
  $("banner").hidden = banner === "";
  $("banner-text").textContent = banner;
  $("retry").hidden = state !== "lost";
}

export function drawInstance({ instance, store }) {
  const shared = store === "memory" ? "alone, in memory" : `sharing ${store[0].toUpperCase()}${store.slice(1)}`;
  $("instance").textContent = `Server ${instance}, ${shared}`;
}

export function drawYou(seat) {
  $("join").hidden = seat !== null;
  $("seated").hidden = seat === null;
  drawFault("");
  if (!seat) return;
  $("own-name").textContent = seat.name;
  $("own-device").textContent = kind(seat.device);
}

export function drawFault(text) {
  $("fault").hidden = text === "";
  $("fault").textContent = text;
}
