import { again } from "../api";
import { InstallationService } from "../gen/sidelight/console/v1/ui_pb";

// refresh asks again for nodes and tokens: what is done to one shows at the other. Nobody waits for it, least of all a new
// secret that is yet to be shown.
export function refresh(): void {
  void again(InstallationService.method.listInstallations, InstallationService.method.listTokens);
}
