// Words for what the protos say in numbers.
import { Confidence, Outcome, Severity } from "./gen/sidelight/detection/v1/taxonomy_pb";
import { AuthScheme, Location, Protocol, ValueType } from "./gen/sidelight/inventory/v1/observation_pb";
import { Client_Source } from "./gen/sidelight/traffic/v1/connection_pb";

const severities = ["unknown", "info", "low", "medium", "high", "critical"] as const;

export function severity(s: Severity): { word: (typeof severities)[number]; level: number } {
  return { word: severities[s] ?? "unknown", level: s };
}

export function confidence(c: Confidence): string {
  return ["unknown", "low", "medium", "high"][c] ?? "unknown";
}

export type Tone = "bad" | "good" | "warn" | "none";

export function outcome(o: Outcome): { word: string; tone: Tone } {
  switch (o) {
    case Outcome.REACHED_APP:
      return { word: "Reached the app", tone: "bad" };
    case Outcome.REJECTED_BY_PROXY:
      return { word: "Rejected by proxy", tone: "good" };
    case Outcome.APP_ERROR:
      return { word: "App error", tone: "warn" };
    case Outcome.NO_ANSWER:
      return { word: "No answer", tone: "warn" };
    case Outcome.UNSPECIFIED:
      return { word: "Not known yet", tone: "none" };
    default:
      return { word: "Unknown", tone: "none" };
  }
}

// Where the client's address was read: an address from a header is only as good as the proxy that wrote it.
export function source(s: Client_Source): string {
  switch (s) {
    case Client_Source.PEER:
      return "address of the connection";
    case Client_Source.X_FORWARDED_FOR:
      return "from X-Forwarded-For of a trusted proxy";
    case Client_Source.X_REAL_IP:
      return "from X-Real-IP of a trusted proxy";
    case Client_Source.FORWARDED:
      return "from Forwarded of a trusted proxy";
    case Client_Source.PROXY_PROTOCOL:
      return "from the PROXY protocol of a trusted proxy";
    default:
      return "source unknown";
  }
}

export function location(l: Location): string {
  return { [Location.JSON]: "JSON body", [Location.FORM]: "Form", [Location.XML]: "XML body" }[l as number] ?? capital(word(Location[l]));
}

export function valueType(t: ValueType): string {
  return { [ValueType.UUID]: "UUID", [ValueType.ULID]: "ULID", [ValueType.JWT]: "JWT", [ValueType.URI]: "URI" }[t as number] ?? word(ValueType[t]);
}

export function auth(s: AuthScheme): string {
  return { [AuthScheme.NONE]: "none", [AuthScheme.API_KEY]: "API key" }[s as number] ?? word(AuthScheme[s]);
}

export function protocol(p: Protocol): string {
  return { [Protocol.REST]: "REST", [Protocol.GRAPHQL]: "GraphQL", [Protocol.GRPC]: "gRPC", [Protocol.WEBSOCKET]: "WebSocket" }[p as number] ?? word(Protocol[p]);
}

// word turns a code such as DATE_TIME or body_tail into words.
export function word(code: string | undefined): string {
  return (code ?? "unknown").toLowerCase().replaceAll("_", " ");
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
