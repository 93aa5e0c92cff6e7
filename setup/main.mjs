// Brings this machine to what `--for start|test|check|peers` needs, and does nothing where that is there already. Runs on
// the host's own Node (20 or newer) before anything is installed, so it uses nothing but Node itself.
import { ensureCompiled } from './compiled-code.mjs';
import { ensureDebianPackages } from './debian-packages.mjs';
import { ensureNodePackages } from './node-packages.mjs';
import { fail } from './say.mjs';

const purpose = process.argv[process.argv.indexOf('--for') + 1];

switch (purpose) {
  case 'check':
    ensureNodePackages();
    break;
  case 'start': {
    ensureNodePackages();
    await ensureDebianPackages('start');
    const { ensureAccount } = await import('./account.mjs');
    ensureAccount();
    ensureCompiled();
    break;
  }
  case 'test': {
    ensureNodePackages();
    await ensureDebianPackages('start', 'test');
    const { ensureAccount } = await import('./account.mjs');
    ensureAccount();
    const { ensureSeaweedfs } = await import('./seaweedfs.mjs');
    ensureSeaweedfs();
    const { ensureGoClients } = await import('./go-clients.mjs');
    ensureGoClients('buildctl', 'buildkitd', 'docker-buildx', 'docker-compose');
    const { ensureOldDockerCli } = await import('./old-docker-cli.mjs');
    ensureOldDockerCli();
    break;
  }
  // BuildKit itself, to compare with.
  case 'peers': {
    const { ensureGoClients } = await import('./go-clients.mjs');
    ensureGoClients('buildctl', 'buildkitd');
    break;
  }
  default:
    fail('usage: node setup/main.mjs --for start|test|check|peers');
}
