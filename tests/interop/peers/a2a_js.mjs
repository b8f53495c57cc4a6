// @a2a-js/sdk's client against the agent at argv[2]: what came, one JSON line for each of three messages.
import { randomUUID } from "node:crypto";
import { ClientFactory } from "@a2a-js/sdk/client";

const client = await new ClientFactory().createFromUrl(process.argv[2]);
const asked = (content, metadata) => ({
  tenant: "",
  message: {
    messageId: randomUUID(),
    contextId: "",
    taskId: "",
    role: 1,
    parts: [{ content, metadata: undefined, filename: "", mediaType: "" }],
    metadata,
    extensions: [],
    referenceTaskIds: [],
  },
  configuration: undefined,
  metadata: undefined,
});
const tell = (what) => process.stdout.write(JSON.stringify(what) + "\n");

const data = { $case: "data", value: { number: "9007199254740993" } };
tell(await client.sendMessage(asked(data, { skillId: "double" })));
tell(await client.sendMessage(asked({ $case: "text", value: "Double the number 21" })));
const events = [];
for await (const event of client.sendMessageStream(asked({ $case: "text", value: "Double the number 4" }))) {
  events.push(event.payload);
}
tell(events);
