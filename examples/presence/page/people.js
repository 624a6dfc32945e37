// Who is here, replayed from what the server tells; and what that means, in words.

const KINDS = { laptop: "laptop", desktop: "desktop", phone: "phone", tablet: "tablet" };
export const kind = (device) => KINDS[device] ?? "device";

export class People {
  // By name, the connections of each: id -> { device, away, instance }.
  #all = new Map();
  // Names of those who came online and whose first connection follows.
  #coming = new Set();

  get users() {
    return this.#all.size;
  }

  get devices() {
    return this.#count((seats) => seats.size);
  }

  get instances() {
    const seats = [...this.#all.values()].flatMap((seats) => [...seats.values()]);
    return new Set(seats.map((seat) => seat.instance)).size;
  }

  #count(of) {
    return [...this.#all.values()].reduce((sum, seats) => sum + of(seats), 0);
  }

  // Names and their connections, by name.
  sorted() {
    return [...this.#all].sort(([one], [other]) => one.localeCompare(other));
  }

  // Replays a message; an entry for the feed, { name, text, how }, if there is something to say.
  apply(message) {
    const { type, name, connection } = message;
    switch (type) {
      case "snapshot": return this.#reset(message);
      case "online": this.#coming.add(name); return null;
      case "join": return this.#join(message);
      case "update": return this.#update(message);
      case "leave": return this.#gone(name, connection, "left", "go");
      case "expire": return this.#gone(name, connection, "was lost", "lost");
      default: return null;
    }
  }

  #reset({ members, reason }) {
    this.#all.clear();
    this.#coming.clear();
    members.forEach((member) => this.#set(member));
    if (reason === "begin") return null;
    return { text: reason === "lagged" ? "Too much at once: caught up" : "Caught up", how: "note" };
  }

  #set({ name, connection, device, away, instance }) {
    const seats = this.#all.get(name) ?? new Map();
    const before = seats.get(connection);
    this.#all.set(name, seats.set(connection, { device, away, instance }));
    return before;
  }

  #join(message) {
    this.#set(message);
    const { name, device } = message;
    const isFirst = this.#coming.delete(name);
    const text = isFirst ? `is here, on a ${kind(device)}` : `is here on a ${kind(device)} too`;
    return { name, text, how: "come" };
  }

  #update(message) {
    const { name, away } = message;
    const before = this.#set(message);
    if (before?.away === away) return null;
    return { name, text: away ? "is away" : "is back", how: "note" };
  }

  #gone(name, connection, verb, how) {
    const seats = this.#all.get(name);
    const seat = seats?.get(connection);
    if (!seat) return null;
    seats.delete(connection);
    if (seats.size > 0) return { name, text: `${verb} on a ${kind(seat.device)}, but is still here`, how };
    this.#all.delete(name);
    return { name, text: verb, how };
  }
}
