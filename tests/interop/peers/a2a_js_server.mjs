// An agent written with @a2a-js/sdk's server alone. It says its port, and ends with its standard input.
// `/typed` tells the schemas of its skill in its card; `/words` tells none, and reads words.
import { randomUUID } from "node:crypto";
import express from "express";
import { DefaultRequestHandler, InMemoryTaskStore, AgentEvent } from "@a2a-js/sdk/server";
import { agentCardHandler, jsonRpcHandler, UserBuilder } from "@a2a-js/sdk/server/express";

const URI = "https://w3id.org/metaparley/protocol-documents/v1";
const of = (name) => ({ type: "object", properties: { [name]: { type: "integer" } }, required: [name] });
const schemas = { double: { inputSchema: of("number"), outputSchema: of("twice"), effect: "safe" } };

class Doubler {
  constructor(typed) {
    this.typed = typed;
  }
  async execute(context, bus) {
    const part = context.userMessage.parts[0].content;
    const given = part.$case === "data" ? part.value.number : part.value.match(/-?\d+/)[0];
    const twice = BigInt(given) * 2n;
    // A number that floats do not hold is written out, as protobuf's JSON does.
    const number = Number.isSafeInteger(Number(twice)) ? Number(twice) : String(twice);
    const content = this.typed
      ? { $case: "data", value: { twice: number } }
      : { $case: "text", value: `Twice that is ${twice}.` };
    bus.publish(
      AgentEvent.message({
        messageId: randomUUID(),
        contextId: context.contextId,
        taskId: "",
        role: 2,
        parts: [{ content, metadata: undefined, filename: "", mediaType: "" }],
        metadata: undefined,
        extensions: [],
        referenceTaskIds: [],
      }),
    );
    bus.finished();
  }
  async cancelTask() {}
}

const app = express();
const listening = app.listen(0, "127.0.0.1", () => {
  const { port } = listening.address();
  for (const name of ["typed", "words"]) {
    const typed = name === "typed";
    const card = {
      name,
      description: "Doubles numbers.",
      version: "1",
      provider: undefined,
      documentationUrl: "",
      iconUrl: "",
      supportedInterfaces: [
        { url: `http://127.0.0.1:${port}/${name}/rpc`, protocolBinding: "JSONRPC", protocolVersion: "1.0", tenant: "" },
      ],
      capabilities: {
        streaming: true,
        pushNotifications: false,
        extendedAgentCard: false,
        extensions: typed ? [{ uri: URI, description: "", required: false, params: { skills: schemas } }] : [],
      },
      securitySchemes: {},
      securityRequirements: [],
      defaultInputModes: ["text/plain"],
      defaultOutputModes: ["text/plain"],
      skills: [
        {
          id: "double",
          name: "Double",
          description: "Double a number.",
          tags: ["numbers"],
          examples: [],
          inputModes: [],
          outputModes: [],
          securityRequirements: [],
        },
      ],
      signatures: [],
    };
    const requestHandler = new DefaultRequestHandler(card, new InMemoryTaskStore(), new Doubler(typed));
    app.use(`/${name}/.well-known/agent-card.json`, agentCardHandler({ agentCardProvider: requestHandler }));
    app.use(`/${name}/rpc`, jsonRpcHandler({ requestHandler, userBuilder: UserBuilder.noAuthentication }));
  }
  process.stdout.write(JSON.stringify({ port }) + "\n");
});
process.stdin.on("end", () => process.exit(0)).resume();
