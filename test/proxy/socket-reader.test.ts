import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ReadBuffers } from "../../src/proxy/read-buffers.ts";
import { adoptAccepted } from "../../src/proxy/socket-reader.ts";

test("this Node lets an accepted socket read into the shared buffer", async () => {
  const buffers = new ReadBuffers(0);
  const server = net.createServer({ pauseOnConnect: true }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const client = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
  onTestFinished(() => void client.destroy());
  const [accepted] = (await once(server, "connection")) as [net.Socket];
  const read = new Promise<[Buffer, string]>((resolve) => {
    const onBytes = (buffer: Buffer, start: number, end: number): void =>
      resolve([buffer, buffer.toString("latin1", start, end)]);
    adoptAccepted(accepted, buffers, { isInContent: false, onBytes });
  });
  client.write("bytes");
  const [buffer, text] = await read;
  expect(text).toBe("bytes");
  expect(buffer).toBe(buffers.shared);
  client.end();
  accepted.end();
  await once(accepted, "close");
});
