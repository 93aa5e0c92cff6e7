import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The directory of one container on the worker's disk. */
export class ContainerFiles {
  readonly directory: string;

  constructor(root: string, id: string) {
    this.directory = join(root, id);
  }

  /** Its root file system is mounted here. */
  get rootfs(): string {
    return join(this.directory, 'rootfs');
  }

  get hostname(): string {
    return join(this.directory, 'hostname');
  }

  get hosts(): string {
    return join(this.directory, 'hosts');
  }

  get resolvConf(): string {
    return join(this.directory, 'resolv.conf');
  }

  get log(): string {
    return join(this.directory, `container.log`);
  }

  execLog(execId: string): string {
    return join(this.directory, `exec-${execId}.log`);
  }

  async make(hostname: string): Promise<void> {
    await mkdir(this.rootfs, { recursive: true, mode: 0o711 });
    await Promise.all([
      writeFile(this.hostname, `${hostname}\n`),
      writeFile(this.hosts, ''),
      writeFile(this.resolvConf, ''),
    ]);
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
