// The WebSocket, which comes back by itself: at once when the network does or somebody looks, and
// otherwise after pauses that double, with jitter so that not all pages come at once.

const FIRST = 500;
const LONGEST = 8_000;

export class Link {
  #url;
  #socket = null;
  #pause = FIRST;
  #timer = 0;
  #watchdog = 0;
  // How long the server may be silent, once it has said how often it speaks.
  #patience = 30_000;

  constructor(url, { heard, lost }) {
    this.#url = url;
    this.heard = heard;
    this.lost = lost;
    addEventListener("online", () => this.retry());
    addEventListener("pageshow", () => this.retry());
    document.addEventListener("visibilitychange", () => document.hidden || this.retry());
    this.#open();
  }

  // Whether it was sent.
  say(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  // Does not wait for the end of a pause.
  retry() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    this.#open();
  }

  #open() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    // Also a server that takes the connection and says nothing is none.
    this.#watch(socket);
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#watch(socket);
      this.#hear(JSON.parse(data));
    };
    socket.onclose = () => this.#lost(socket);
  }

  #hear(message) {
    if (message.type === "welcome") this.#patience = message.beat_ms * 2.5;
    // A server without its store is no reason to come back soon.
    if (message.type === "snapshot") this.#pause = FIRST;
    if (message.type === "beat") this.say({ type: "beat" });
    else this.heard(message);
  }

  #watch(socket) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => {
      socket.close();
      this.#lost(socket);
    }, this.#patience);
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    clearTimeout(this.#watchdog);
    this.lost();
    this.#timer = setTimeout(() => this.#open(), this.#pause * (0.5 + Math.random() / 2));
    this.#pause = Math.min(this.#pause * 2, LONGEST);
  }
}
