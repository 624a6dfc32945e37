// Wires the link to the view, and remembers who one is: the name for the next visit, and for as long
// as the tab is open that it came in, so that it does again after a reload or a lost connection.

import { Link } from "./link.js";
import { People } from "./people.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const people = new People();

// As whom this tab wants to be here; null if it does not.
let wanted = JSON.parse(sessionStorage.getItem("seat"));
// By which connection it is.
let own = null;
let isDrawn = true;

// Many messages are drawn at once.
function draw() {
  if (!isDrawn) return;
  isDrawn = false;
  setTimeout(() => {
    isDrawn = true;
    view.drawPeople(people, own);
  }, 30);
}

function want(seat) {
  wanted = seat;
  if (seat) sessionStorage.setItem("seat", JSON.stringify(seat));
  else sessionStorage.removeItem("seat");
  view.drawYou(seat);
}

function join() {
  if (wanted) link.say({ type: "join", ...wanted, away: document.hidden });
}

function heard(message) {
  switch (message.type) {
    case "welcome":
      view.drawInstance(message);
      own = null;
      return join();
    case "you":
      own = message.connection;
      return draw();
    case "error":
      // Who is refused may say it in other words.
      if (wanted && !own) want(null);
      return view.drawFault(message.message);
    case "trouble":
      return view.drawLink("trouble");
    case "snapshot":
      view.drawLink("open");
  }
  const entry = people.apply(message);
  if (entry) view.addToFeed(entry);
  draw();
}

function lost() {
  own = null;
  view.drawLink("lost");
}

function guess() {
  const { userAgent } = navigator;
  if (/iPad|Tablet/.test(userAgent)) return "tablet";
  return /Mobi|Android|iPhone/.test(userAgent) ? "phone" : "laptop";
}

$("name").value = localStorage.getItem("name") ?? "";
$("device").value = guess();
view.drawYou(wanted);

const address = new URL("/ws", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
const link = new Link(address, { heard, lost });

$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (!name) {
    view.drawFault("Please say who you are.");
    return $("name").focus();
  }
  localStorage.setItem("name", name);
  want({ name, device: $("device").value });
  join();
});
$("leave").addEventListener("click", () => {
  want(null);
  own = null;
  link.say({ type: "leave" });
  $("name").focus();
});
$("retry").addEventListener("click", () => link.retry());
// A page that is closed is hidden before: nobody need hear of that.
let hiding = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(hiding);
  const say = () => own && link.say({ type: "away", away: document.hidden });
  hiding = setTimeout(say, document.hidden ? 1_000 : 0);
});
