// Loaded before each program: whatever a package does, no test reaches beyond this machine.
import net from "node:net";

const HERE = [undefined, "localhost", "127.0.0.1", "::1"];
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...given) {
  const [where, more] = Array.isArray(given[0]) ? given[0] : given;
  const host = typeof where === "object" ? where.host : typeof more === "string" ? more : undefined;
  if (!HERE.includes(host)) {
    throw new Error(`${host} is not on this machine`);
  }
  return connect.apply(this, given);
};
